//! How a message lies in the body: one byte that says whether it is compressed, four of its length, the message.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, Length-Prefixed-Message.

/// Bytes before a message.
const HEAD: usize = 5;

/// The body that carries one message.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(HEAD + message.len());
    body.push(0);
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(message);
    body
}

/// The one message in a body.
///
/// # Errors
/// What is wrong with the body, in words.
pub fn unframed(body: &[u8]) -> Result<&[u8], String> {
    let Some((head, rest)) = body.split_first_chunk::<HEAD>() else {
        return Err(format!("a gRPC message begins with {HEAD} bytes, {} came", body.len()));
    };
    let [compressed, length @ ..] = *head;
    // No compression was offered.
    if compressed != 0 {
        return Err(format!("the message is marked as compressed ({compressed}), which was not asked for"));
    }
    let length = u32::from_be_bytes(length) as usize;
    match rest.len() {
        have if have < length => Err(format!("a message of {length} bytes was announced, {have} came")),
        have if have > length => Err(format!("{} bytes follow the only message", have - length)),
        _ => Ok(rest),
    }
}
