const express = require("express");
const greeting = require("./greeting");

const app = express();
app.get("/", (request, response) => {
  response.type("text").send(`${greeting(request.query.name)}\n`);
});
app.get("/health", (_request, response) => {
  response.json({ status: "ok" });
});

const port = Number(process.env.PORT ?? 3000);
const server = app.listen(port, () => console.log(`listening on port ${port}`));
process.on("SIGTERM", () => server.close());
