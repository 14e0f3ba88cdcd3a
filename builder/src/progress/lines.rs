//! Output of a step, cut into lines that are safe to print.

/// Collects bytes and gives back whole lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

/// A line that grows past this is given out in pieces: a step may never write a line end.
const LONGEST: usize = 16 * 1024;

impl Lines {
    /// Takes bytes and gives the lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.partial.len() >= LONGEST {
                lines.push(printable(&self.partial));
                self.partial.clear();
            }
            if byte != b'\n' {
                self.partial.push(byte);
            }
        }
        lines
    }

    /// What was written after the last line end.
    pub fn rest(&mut self) -> Option<String> {
        let partial = std::mem::take(&mut self.partial);
        (!partial.is_empty()).then(|| printable(&partial))
    }
}

/// The text of a line as the terminal would leave it: a carriage return goes back to the start,
/// escape sequences and control characters are left out.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let last = text.rsplit('\r').next().unwrap_or_default();
    let plain = console::strip_ansi_codes(last);
    plain.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_were_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a"), Vec::<String>::new());
        assert_eq!(lines.push(b"b\nc\nd"), ["ab", "c"]);
        assert_eq!(lines.rest().as_deref(), Some("d"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_given_out_in_pieces() {
        let mut lines = Lines::default();
        let pieces = lines.push(&vec![b'x'; LONGEST * 2 + 1]);
        assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, LONGEST]);
    }

    #[test]
    fn what_could_move_the_cursor_is_left_out() {
        let mut lines = Lines::default();
        let shown = lines.push(b"\x1b[31mred\x1b[0m\x07\n 10%\r 20%\r\n\xff\n");
        assert_eq!(shown, ["red", " 20%", "\u{fffd}"]);
    }
}
