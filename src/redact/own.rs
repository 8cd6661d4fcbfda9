//! What this machine and the doctor's user are called: a log holds their names where nothing else tells that it does.

/// Names of the machine and the user.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The machine.
    pub host: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The user's folder.
    pub home: Option<String>,
    /// The machine's id.
    pub machine_id: Option<String>,
}

impl Own {
    /// As the kernel and the environment tell.
    pub fn of_this_machine() -> Self {
        let file = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let variable = |name: &str| std::env::var(name).ok();
        Self {
            host: file("/proc/sys/kernel/hostname"),
            user: variable("USER").or_else(|| variable("LOGNAME")),
            home: variable("HOME"),
            machine_id: file("/etc/machine-id").filter(|id| id.len() == 32),
        }
    }
}
