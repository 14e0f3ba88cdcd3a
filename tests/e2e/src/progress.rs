//! What plain progress tells: which steps ran and which were hits.

/// The steps of one build, by title, in the order they ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Steps {
    /// Those that ran.
    pub ran: Vec<String>,
    /// Those that hit.
    pub cached: Vec<String>,
}

impl Steps {
    /// Reads lines such as `#5 [2/3] RUN make`, `#5 CACHED` and `#5 DONE 2.1s`. Only steps of a
    /// stage count: not where a base or the context comes from.
    pub fn parse(text: &str) -> Steps {
        let mut steps = Steps::default();
        let mut titles = std::collections::HashMap::new();
        for line in text.lines() {
            let Some((number, rest)) = line.split_once(' ') else { continue };
            if !number.starts_with('#') {
                continue;
            }
            if is_step(rest) {
                titles.insert(number, rest.to_owned());
            }
            let Some(title) = titles.get(number) else { continue };
            if rest == "CACHED" {
                steps.cached.push(title.clone());
            } else if rest.starts_with("DONE ") {
                steps.ran.push(title.clone());
            }
        }
        steps
    }

    /// What ran, without `[stage 2/3]` before it.
    pub fn ran_instructions(&self) -> Vec<&str> {
        self.ran
            .iter()
            .map(|title| title.split_once("] ").map_or(title.as_str(), |it| it.1))
            .collect()
    }
}

fn is_step(title: &str) -> bool {
    let Some((place, instruction)) = title.split_once("] ") else { return false };
    let is_internal = place.ends_with("internal");
    place.starts_with('[')
        && place.contains('/')
        && !is_internal
        && !instruction.starts_with("FROM ")
}

#[cfg(test)]
mod tests {
    use super::Steps;

    #[test]
    fn titles_are_joined_with_their_ends() {
        let text = "#1 [internal] load build definition\n#1 DONE 0.0s\n\n#2 [1/3] FROM docker.io/library/busybox\n\
                    #2 DONE 0.1s\n\n#3 [2/3] WORKDIR /app\n#3 CACHED\n\n#4 [3/3] RUN make\n#4 0.100 DONE by make\n#4 DONE 0.2s\n";
        let steps = Steps::parse(text);
        assert_eq!(steps.cached, ["[2/3] WORKDIR /app"]);
        assert_eq!(steps.ran, ["[3/3] RUN make"]);
        assert_eq!(steps.ran_instructions(), ["RUN make"]);
    }
}
