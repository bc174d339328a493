//! A real Prometheus (Debian's package), on loopback, and something for it to scrape.
//!
//! ```no_run
//! use xtask::Prometheus;
//!
//! let prometheus = Prometheus::up()?;
//! prometheus.show("errors{version=\"v2\"} 0.3\n"); // from the next scrape on
//! println!("{}", prometheus.url());
//! # Ok::<(), xtask::KubeError>(())
//! ```

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::kube::KubeError;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it scrapes.
const SCRAPE: &str = "200ms";

/// A Prometheus that scrapes one place, whose metrics are as one says. Dropped, it goes with all that
/// it has seen.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    port: u16,
    _exporter: Exporter,
    metrics: Arc<Mutex<String>>,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn up() -> Result<Self, KubeError> {
        let dir = tempfile::tempdir().map_err(KubeError::io("make", "a directory"))?;
        let metrics = Arc::default();
        let exporter = Exporter::start(Arc::clone(&metrics))?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.map_err(KubeError::io("find a free port on", "127.0.0.1"))?.port();
        let config = json!({
            "global": { "scrape_interval": SCRAPE, "scrape_timeout": SCRAPE },
            "scrape_configs": [{
                "job_name": "app",
                "static_configs": [{ "targets": [format!("127.0.0.1:{}", exporter.port)] }],
            }],
        });
        let file = dir.path().join("prometheus.yml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).map_err(KubeError::io("write", &file))?;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(KubeError::io("run", "prometheus"))?;
        let prometheus = Self { process, port, _exporter: exporter, metrics, _dir: dir };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if prometheus.is_ready() {
                return Ok(prometheus);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(KubeError::Start { part: "prometheus", log: String::new() })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it scrapes from now on, in the text format of Prometheus.
    pub fn show(&self, metrics: &str) {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner) = metrics.to_owned();
    }

    fn is_ready(&self) -> bool {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "-o", "/dev/null", "--max-time", "5"]).arg(self.url() + "/-/ready");
        curl.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // The only error is that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is scraped.
#[derive(Debug)]
struct Exporter {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    fn start(metrics: Arc<Mutex<String>>) -> Result<Self, KubeError> {
        let failed = |error| KubeError::io("listen on", "127.0.0.1")(error);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let text = metrics.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Who does not wait for the answer gets none.
                let _ = answer(stream, &text);
            }
        });
        Ok(Self { port, stop, thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It looks once more.
        let woken = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 16 * 1024 {
        match stream.read(&mut part)? {
            0 => break,
            read => request.extend_from_slice(&part[..read]),
        }
    }
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}
