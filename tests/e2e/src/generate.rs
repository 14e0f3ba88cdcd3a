//! Projects made from a number, and edits of them: what people would not think of writing.
//!
//! Every instruction succeeds on whatever was there before it, and makes the same files whenever
//! it runs; so two builds of one project are to be equal, however each of them came about.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Context;

/// Numbers that look random and are the same for the same seed (xorshift, Marsaglia 2003).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From any number.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    /// One of these.
    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A Dockerfile and its context.
#[derive(Debug, Clone)]
pub struct Project {
    /// The instructions of each stage, below its FROM.
    stages: Vec<Vec<String>>,
    /// Text and mode by path.
    files: BTreeMap<String, (String, u32)>,
}

/// Files that instructions name; they are always there.
const NAMED: [&str; 4] = ["a.txt", "b.txt", "lib/x.txt", "lib/deep/y.txt"];

/// Files that come and go.
const LOOSE: [&str; 4] = ["c.txt", "lib/z.txt", "lib/deep/w.txt", "other/v.txt"];

/// What every stage starts with, so that what follows finds something.
const START: &str = "RUN mkdir -p /data/sub && echo start >/data/start";

impl Project {
    /// The project of a seed.
    pub fn new(random: &mut Random) -> Project {
        let file = |(index, name): (usize, &&str)| {
            ((*name).to_owned(), (format!("file {index}\n"), 0o644))
        };
        let files = NAMED.iter().chain(&LOOSE[..2]).enumerate().map(file).collect();
        let mut project = Project { stages: Vec::new(), files };
        for stage in 0..1 + random.below(3) {
            let count = 2 + random.below(4);
            let steps = (0..count).map(|_| instruction(random, stage)).collect();
            project.stages.push(steps);
        }
        project
    }

    /// Changes one thing, and says what.
    pub fn edit(&mut self, random: &mut Random) -> String {
        match random.below(7) {
            0 => self.change_text(random),
            1 => self.come_or_go(random),
            2 => self.change_mode(random),
            3 => self.change_instruction(random, Vec::insert),
            4 => self.change_instruction(random, |steps, at, new| {
                if at < steps.len() {
                    steps[at] = new;
                }
            }),
            5 => self.change_instruction(random, |steps, at, _| {
                if at < steps.len() {
                    steps.remove(at);
                }
            }),
            _ => self.change_instruction(random, |steps, at, _| {
                if at + 1 < steps.len() {
                    steps.swap(at, at + 1);
                }
            }),
        }
    }

    /// Writes it into a context, in place of what was there.
    pub fn write(&self, context: &Context) {
        for entry in fs::read_dir(context.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        for (name, (text, mode)) in &self.files {
            context.write(name, text);
            let path = context.path().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        context.write("Dockerfile", &self.dockerfile());
        context.write(".dockerignore", "Dockerfile\n.dockerignore\nother\n");
    }

    /// The Dockerfile.
    pub fn dockerfile(&self) -> String {
        let stage = |(index, steps): (usize, &Vec<String>)| {
            format!("FROM busybox AS s{index}\n{START}\n{}\n", steps.join("\n"))
        };
        self.stages.iter().enumerate().map(stage).collect()
    }

    fn change_text(&mut self, random: &mut Random) -> String {
        let name = random.pick(&NAMED);
        // Of the same length: nothing but the bytes tells the two apart.
        let text = format!("file {}\n", random.below(10));
        self.files.get_mut(name).unwrap().0.clone_from(&text);
        format!("`{name}` is {text:?}")
    }

    fn come_or_go(&mut self, random: &mut Random) -> String {
        let name = random.pick(&LOOSE);
        if self.files.remove(name).is_none() {
            self.files.insert(name.to_owned(), ("new\n".to_owned(), 0o644));
        }
        format!("`{name}` comes or goes")
    }

    fn change_mode(&mut self, random: &mut Random) -> String {
        let name = random.pick(&NAMED);
        let mode = [0o644, 0o755, 0o600, 0o4755][random.below(4)];
        self.files.get_mut(name).unwrap().1 = mode;
        format!("`{name}` has mode {mode:o}")
    }

    fn change_instruction(
        &mut self,
        random: &mut Random,
        change: fn(&mut Vec<String>, usize, String),
    ) -> String {
        let stage = random.below(self.stages.len());
        let at = random.below(self.stages[stage].len() + 1);
        let new = instruction(random, stage);
        change(&mut self.stages[stage], at, new);
        format!("stage {stage} is {:#?}", self.stages[stage])
    }
}

/// An instruction of stage number `stage`.
fn instruction(random: &mut Random, stage: usize) -> String {
    let number = random.below(5);
    let file = random.pick(&NAMED);
    let place = random.pick(&["/data", "/data/sub", "/work"]);
    match random.below(16) {
        0 => format!("RUN mkdir -p {place} && echo {number} >>{place}/log"),
        1 => format!("RUN rm -rf {place} && mkdir -p {place}/again{number}"),
        2 => format!("RUN mkdir -p {place} && ln -sf ../x{number} {place}/link"),
        3 => "RUN ln -f /data/start /data/hard || true".to_owned(),
        4 => format!("RUN chmod 7{number}0 /bin/.. /data/start || true"),
        5 => "RUN cat /data/* /src/* 2>/dev/null | wc -c >/sum".to_owned(),
        6 => format!("RUN --mount=type=bind,target=/c cat /c/{file} >/seen"),
        7 => format!("COPY {file} {place}/"),
        8 => format!("COPY --chmod=75{number} --chown={number}:7 lib {place}/lib"),
        9 => "COPY . /src".to_owned(),
        10 => format!("COPY --exclude=deep lib /exc{number}/"),
        11 => format!("COPY <<end /here{number}\n$HOME {number}\nend"),
        12 => format!("ENV V{number}={number}\nRUN echo $V{number} >/env"),
        13 => format!("ARG A={number}\nRUN echo \"$A\" >/arg"),
        14 => format!("WORKDIR {place}/w{number}\nRUN pwd >/where"),
        _ if stage == 0 => format!("LABEL l={number}"),
        _ => format!("COPY --from=s{} /data /from{number}", stage - 1),
    }
}
