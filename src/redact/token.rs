//! Tokens that stand for identifiers: the same for the same on one machine, and telling nothing of them.

use crate::secret::NO_MORE;
use ring::hmac;
use std::sync::LazyLock;

/// This program's own constant, so that its tokens tell nothing of the machine's id, nor of another program's tokens. The
/// same is done by sd_id128_get_machine_app_specific(3), and for that reason: the machine's id itself is confidential.
const APPLICATION: &[u8] = b"gpu-doctor/redaction/8d1c1f0a5e5b4c0f9a3e7b6d2c4f1e90";
/// Variable whose text takes the place of the machine's id, so that reports of a team's machines match.
const VARIABLE: &str = "GPU_DOCTOR_SALT";

/// Kinds of identifiers, by what their token begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A machine, or a domain name.
    Host,
    /// A user.
    User,
    /// An address of IPv4 or IPv6.
    Ip,
    /// An address of a network card.
    Mac,
    /// A container, by its id or its name.
    Container,
    /// A pod.
    Pod,
    /// A serial number, of a board or a machine.
    Serial,
    /// A machine's id.
    Machine,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Kind::Host => "host",
            Kind::User => "user",
            Kind::Ip => "ip",
            Kind::Mac => "mac",
            Kind::Container => "ctr",
            Kind::Pod => "pod",
            Kind::Serial => "serial",
            Kind::Machine => "machine",
        }
    }
}

/// What makes a machine's tokens its own.
#[derive(Clone)]
pub struct Salt(hmac::Key);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

impl Salt {
    /// The salt of `GPU_DOCTOR_SALT`, else of this machine's id. Where there is neither, one of this run: its reports match
    /// one another only.
    pub fn of_this_machine() -> Self {
        if let Some(given) = std::env::var(VARIABLE).ok().filter(|given| !given.is_empty()) {
            return Self::of(given.as_bytes());
        }
        let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|file| {
            let text = std::fs::read_to_string(file).ok()?;
            let id = text.trim();
            // Images hold an empty one, or `uninitialized`.
            (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
        });
        match id {
            Some(id) => Self::of(id.as_bytes()),
            None => {
                static OF_THIS_RUN: LazyLock<[u8; 32]> = LazyLock::new(|| {
                    let mut random = [0; 32];
                    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
                    filled.expect("the kernel gives random bytes");
                    random
                });
                Self::of(&*OF_THIS_RUN)
            }
        }
    }

    /// The salt of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), APPLICATION);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    fn hexadecimal(&self, kind: &str, value: &str, bytes: usize) -> String {
        let text = format!("{kind}\0{}", value.to_ascii_lowercase());
        let tag = hmac::sign(&self.0, text.as_bytes());
        tag.as_ref().iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The token of a value: `host-3f2a9c`.
    pub fn token(&self, kind: Kind, value: &str) -> String {
        // Twelve characters, to which container ids are cut.
        let bytes = if kind == Kind::Container { 4 } else { 3 };
        format!("{}-{}", kind.prefix(), self.hexadecimal(kind.prefix(), value, bytes))
    }

    /// The token of a GPU's UUID, in the shape of one: eight digits, and zeros.
    pub fn uuid(&self, prefix: &str, digits: &str) -> String {
        format!("{prefix}-{}{NO_MORE}", self.hexadecimal("uuid", digits, 4))
    }
}
