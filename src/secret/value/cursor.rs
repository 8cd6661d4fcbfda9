//! A place in a text that moves on over what stands there.

pub const QUOTES: &[&str] = &["\"", "'", "%22", "%27"];
pub const BLANKS: &[&str] = &[" ", "\t", "%20"];
/// Blanks and ends of lines.
pub const LINES: &[&str] = &[" ", "\t", "%20", "\n", "\r", "\\n"];
/// Most blanks between a name, its sign and its value: tables align them.
pub const BLANKS_MAX: usize = 60;
/// Longest name of a type around a text, bytes.
const WRAPPER_MAX: usize = 30;

/// A place in a text that moves on.
#[derive(Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    /// Where it is, bytes.
    pub at: usize,
}

impl<'a> Cursor<'a> {
    /// A place in this text.
    pub fn new(text: &'a str, at: usize) -> Self {
        Self { bytes: text.as_bytes(), at }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Whether this stands here.
    pub fn is_at(&self, text: &str) -> bool {
        self.rest().starts_with(text.as_bytes())
    }

    /// Goes over these, as often as they stand here but no more than so often; whether any did.
    pub fn skip(&mut self, wanted: &[&str], most: usize) -> bool {
        let begin = self.at;
        for _ in 0..most {
            let Some(found) = wanted.iter().find(|text| self.is_at(text)) else { break };
            self.at += found.len();
        }
        self.at > begin
    }

    /// Goes over what languages write around a text: `Some(`, and the `b` of `b'x'`.
    pub fn skip_wrappers(&mut self) {
        for _ in 0..3 {
            let rest = self.rest();
            let name = rest.iter().take(WRAPPER_MAX).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            let of_type = rest.first().is_some_and(u8::is_ascii_uppercase) || rest.starts_with(b"str(");
            if !(of_type && rest.get(name) == Some(&b'(')) {
                break;
            }
            self.at += name + 1;
        }
        let rest = self.rest();
        if rest.first().is_some_and(|b| b"bBuUrR".contains(b)) && matches!(rest.get(1), Some(b'\'' | b'"')) {
            self.at += 1;
        }
    }

    /// Goes over the sign of a text of several lines in YAML: `|`, `>-`.
    pub fn skip_block(&mut self) {
        let mut ahead = self.clone();
        if ahead.skip(&["|", ">"], 1) {
            ahead.skip(&["-", "+"], 1);
            if ahead.skip(&["\n", "\r\n", "\\n"], 1) && ahead.skip(&[" "], BLANKS_MAX) {
                *self = ahead;
            }
        }
    }
}
