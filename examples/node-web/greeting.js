module.exports = function greeting(name = "world") {
  return `Hello, ${name}!`;
};
