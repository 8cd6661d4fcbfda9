//! gRPC's status: its codes by name and number, and the HTTP status that each stands for.

/// Number, name and HTTP status of each code.
///
/// Names and numbers: <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>. The HTTP status that a gateway gives for
/// each: <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>.
const CODES: &[(u32, &str, u16)] = &[
    (0, "OK", 200),
    (1, "CANCELLED", 499),
    (2, "UNKNOWN", 500),
    (3, "INVALID_ARGUMENT", 400),
    (4, "DEADLINE_EXCEEDED", 504),
    (5, "NOT_FOUND", 404),
    (6, "ALREADY_EXISTS", 409),
    (7, "PERMISSION_DENIED", 403),
    (8, "RESOURCE_EXHAUSTED", 429),
    (9, "FAILED_PRECONDITION", 400),
    (10, "ABORTED", 409),
    (11, "OUT_OF_RANGE", 400),
    (12, "UNIMPLEMENTED", 501),
    (13, "INTERNAL", 500),
    (14, "UNAVAILABLE", 503),
    (15, "DATA_LOSS", 500),
    (16, "UNAUTHENTICATED", 401),
];

/// A call's end as the server told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `INVALID_ARGUMENT`; a number that no code has is `code 99`.
    pub name: String,
    /// The HTTP status that it stands for.
    pub http: u16,
    /// The server's words.
    pub message: String,
}

/// The status in trailers, or in headers where the server sent nothing else.
pub fn told(fields: &[(String, String)]) -> Option<Status> {
    let value = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.trim());
    let code = value("grpc-status")?;
    let message = decoded(value("grpc-message").unwrap_or_default());
    let known = code.parse::<u32>().ok().and_then(|number| CODES.iter().find(|(own, ..)| *own == number));
    let Some((_, name, http)) = known else {
        return Some(Status {
            name: format!("code {}", code.chars().take(20).collect::<String>()),
            http: 500,
            message,
        });
    };
    // "Received message larger than max (5242880 vs. 4194304)": the one code stands for two HTTP statuses.
    let too_large = *name == "RESOURCE_EXHAUSTED" && message.contains("larger than max");
    Some(Status { name: (*name).to_owned(), http: if too_large { 413 } else { *http }, message })
}

/// `grpc-message` is percent-encoded UTF-8; what is not stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
