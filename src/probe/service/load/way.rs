//! The way to the server, for every user's connection: name, proxy and TLS as the conversation had them.

use crate::probe::load::{Dial, Fault, Opening, Wire};
use crate::probe::service::transport::Failure;
use crate::probe::service::transport::connect::{Connector, Phase};
use crate::snapshot::Why;
use url::Url;

/// To one server.
pub struct Way<'a> {
    pub connector: &'a Connector,
    pub server: &'a Url,
}

impl Dial for Way<'_> {
    fn open(&self) -> Opening<'_> {
        Box::pin(async {
            // Within TLS only HTTP/1.1 is offered, which is what users send over it.
            let opened = self.connector.open(self.server, &[b"http/1.1"], &mut Phase::default()).await;
            opened.map(|opened| Box::new(opened.io) as Box<dyn Wire>).map_err(|failure| fault(&failure))
        })
    }
}

/// Why there is no connection, as the engine counts it.
fn fault(failure: &Failure) -> Fault {
    let by_system = failure.code.map(|code| Fault::of_io(&std::io::Error::from_raw_os_error(code)));
    match by_system {
        Some(Fault::TimedOut) => Fault::ConnectTimedOut,
        Some(fault) => fault,
        None if failure.why == Why::TimedOut => Fault::ConnectTimedOut,
        None => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::service::transport::Route;

    fn opened(url: &str) -> Result<(), Fault> {
        let server: Url = url.parse().unwrap();
        let connector = Connector::new(&server, &Route::default()).unwrap();
        let way = Way { connector: &connector, server: &server };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(way.open()).map(drop)
    }

    #[test]
    fn a_connection_comes_about_or_has_the_name_of_its_fault() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(opened(&format!("http://127.0.0.1:{port}")), Ok(()));
        drop(listener);
        assert_eq!(opened(&format!("http://127.0.0.1:{port}")), Err(Fault::ConnectRefused));
        assert_eq!(opened("http://does-not-exist.invalid:1"), Err(Fault::Other));
    }
}
