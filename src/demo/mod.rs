//! A small speech server that shows the commonest cause of an idle GPU: its code demands the field `lang`, which its
//! schema calls optional. It runs inside the process and needs no GPU.

mod answer;

use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// A running demo server; it stops when this is dropped.
#[derive(Debug)]
pub struct Demo {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the server on a free port of the loopback interface.
///
/// # Errors
/// No port or no thread could be had.
pub fn start() -> anyhow::Result<Demo> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    // One that decodes audio must not keep the others waiting: that would be a fault of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let serve = move || {
        runtime.block_on(async {
            tokio::spawn(serve(listener));
            let _ = stopped.await;
        });
        // Connections that are still open end with their runtime.
    };
    let thread = std::thread::Builder::new().name("demo".into()).spawn(serve)?;
    Ok(Demo { address, stop: Some(stop), thread: Some(thread) })
}

async fn serve(listener: TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, for instance: not at full speed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = hyper::service::service_fn(answer::answer);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A client that hangs up is its own affair.
            let _ = connection.await;
        });
    }
}

impl Demo {
    /// The server's base URL: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The client's request, as a curl command line: it lacks `lang`. `@builtin:speech.wav` is the sample that is
    /// built into gpu-doctor; curl itself would need a file there.
    pub fn client_request(&self) -> String {
        format!("curl -X POST {}/asr -F audio=@builtin:speech.wav", self.url())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
