//! Whether more than one server listens on the port, so that requests may reach another one than was meant.

use super::{Basis, told};
use crate::snapshot::{Fact, Facts, PortInstance, Unknown, room};

room! {
    /// Who else listens.
    pub struct Port {
        /// Whether another server listens on the port too: `none`, `other_program` or `same_program` if connections to
        /// the URL are dealt out between them, `other_address` if it takes those to the other IP version.
        pub port_rivals: String,
        /// Those servers, in words.
        pub port_rivals_because: String,
    }
}

impl Port {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let (port_rivals, port_rivals_because) = told(rivals(facts));
        Self { port_rivals, port_rivals_because }
    }
}

/// How the families of processes on one port stand to each other, and the same in words.
///
/// `none`: only one serves. `other_program`: connections to the URL are dealt out to different programs. `same_program`:
/// to instances of one program that were started apart. `other_address`: another one takes connections to the same port
/// on the other IP version, as `localhost` may mean it.
fn rivals(facts: &Facts) -> Result<(&'static str, String), Unknown> {
    let instances = facts.process.instances.read()?;
    let serving: Vec<&PortInstance> = instances.iter().filter(|one| one.answers != "none").collect();
    if let [first, others @ ..] = serving.as_slice()
        && !others.is_empty()
    {
        // Sockets that share an address belong to one user (socket(7), SO_REUSEPORT); of another user's nothing is known.
        if let Some(hidden) = serving.iter().find_map(|one| one.pids.reason())
            && others.iter().all(|other| other.uid == first.uid)
        {
            return Err(hidden.clone());
        }
        let verdict = match others.iter().all(|other| same_program(first, other)) {
            true => "same_program",
            false => "other_program",
        };
        return Ok((verdict, in_words(&serving)));
    }
    // Two sockets on one address are visible to everybody; whose they are is not.
    let twice = |one: &&&PortInstance| one.addresses.iter().enumerate().any(|(n, a)| one.addresses[..n].contains(a));
    if let Some(hidden) = serving.iter().filter(twice).find_map(|one| one.pids.reason()) {
        return Err(hidden.clone());
    }
    let Some(first) = serving.first() else { return Ok(("none", String::new())) };
    // An address of one network card belongs to a proxy in front as often as not.
    let beside = instances.iter().filter(|one| one.answers == "none" && one.addresses.iter().any(|a| is_general(a)));
    // What belongs to the same user and may not be seen is the other half of the same server: Docker's proxies.
    let beside: Vec<&PortInstance> = beside
        .filter(|one| one.uid != first.uid || (one.pids.known().is_some() && !same_program(first, one)))
        .collect();
    match beside.is_empty() {
        true => Ok(("none", String::new())),
        false => Ok(("other_address", in_words(&[&[*first], beside.as_slice()].concat()))),
    }
}

fn same_program(a: &PortInstance, b: &PortInstance) -> bool {
    fn same(a: &Fact<String>, b: &Fact<String>) -> bool {
        matches!((a, b), (Fact::Known(a), Fact::Known(b)) if a == b)
    }
    same(&a.executable, &b.executable)
        && same(&a.called_as, &b.called_as)
        && same(&a.working_directory, &b.working_directory)
        && same(&a.command, &b.command)
}

/// Whether an address is a loopback or a wildcard one.
fn is_general(address: &str) -> bool {
    let address: Option<std::net::SocketAddr> = address.parse().ok();
    address.is_some_and(|address| address.ip().is_loopback() || address.ip().is_unspecified())
}

fn in_words(instances: &[&PortInstance]) -> String {
    let one = |instance: &&PortInstance| {
        let addresses = instance.addresses.join(" and ");
        let Some(pid) = instance.pids.known().and_then(|pids| pids.first()) else {
            return format!("a process of uid {} on {addresses}", instance.uid);
        };
        let mut text = format!("PID {pid} on {addresses}");
        if let Some(command) = instance.command.known() {
            text += &format!(" ({})", command.chars().take(120).collect::<String>());
        }
        if let Some(folder) = instance.working_directory.known() {
            text += &format!(" in {folder}");
        }
        if let Some(started) = instance.started_at.known() {
            text += &format!(", started {started}");
        }
        text
    };
    instances.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Why;

    fn instance(address: &str, uid: u64, pid: Option<u64>, answers: &str, command: &str) -> PortInstance {
        let denied = Unknown::new(Why::Denied, "test");
        let known = |text: &str| match pid {
            Some(_) => Fact::Known(text.to_owned()),
            None => Fact::Unknown(denied.clone()),
        };
        PortInstance {
            addresses: vec![address.into()],
            uid,
            pids: pid.map(|pid| vec![pid]).ok_or(denied.clone()).into(),
            answers: answers.into(),
            command: known(command),
            executable: known("/usr/bin/python3"),
            called_as: known("python"),
            working_directory: known("/srv"),
            started_at: known("2026-01-01T00:00:00Z"),
        }
    }

    fn verdict(instances: Vec<PortInstance>) -> Result<&'static str, Why> {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
        facts.process.instances = Fact::Known(instances);
        rivals(&facts).map(|(verdict, _)| verdict).map_err(|unknown| unknown.why)
    }

    #[test]
    fn who_shares_the_port_decides() {
        let own = || instance("127.0.0.1:8000", 1000, Some(7), "all", "a");
        assert_eq!(verdict(vec![]), Ok("none"));
        assert_eq!(verdict(vec![own()]), Ok("none"));
        let some = |pid, command| instance("127.0.0.1:8000", 1000, pid, "some", command);
        assert_eq!(verdict(vec![some(Some(7), "a"), some(Some(8), "b")]), Ok("other_program"));
        assert_eq!(verdict(vec![some(Some(7), "a"), some(Some(8), "a")]), Ok("same_program"));
        assert_eq!(verdict(vec![some(Some(7), "a"), some(None, "")]), Err(Why::Denied));
        let six = |uid, pid, command| instance("[::1]:8000", uid, pid, "none", command);
        assert_eq!(verdict(vec![own(), six(1000, Some(9), "b")]), Ok("other_address"));
        assert_eq!(verdict(vec![own(), six(1000, Some(9), "a")]), Ok("none"), "one program on both IP versions");
        assert_eq!(verdict(vec![own(), six(0, None, "")]), Ok("other_address"), "another user's is another one");
        assert_eq!(verdict(vec![own(), six(1000, None, "")]), Ok("none"), "Docker's two proxies, seen by a user");
        let mut hidden = six(0, None, "");
        hidden.answers = "all".into();
        assert_eq!(verdict(vec![hidden.clone()]), Ok("none"), "a single socket of another user");
        hidden.addresses.push(hidden.addresses[0].clone());
        assert_eq!(verdict(vec![hidden]), Err(Why::Denied), "two on one address");
        let proxy = instance("10.0.0.5:8000", 33, None, "none", "");
        assert_eq!(verdict(vec![own(), proxy]), Ok("none"), "a proxy in front on the network card");
    }
}
