//! A small HTTP server that answers as a test wants.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Method and path, as `GET /v2/`.
    pub(crate) line: String,
    /// The header `Authorization`.
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// A server on this machine, until the test ends.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Answers {
    /// Answers each question with a status line, headers, and a body: `200 OK\nA: b\n\nbody`; never where
    /// the answer is empty.
    pub(crate) fn new(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, noted) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let asked = read(&stream);
                    noted.lock().unwrap().push(asked.clone());
                    let answer = answer(&asked);
                    if answer.is_empty() {
                        // Until the one who asks gives up.
                        let _ = stream.read(&mut [0]);
                        return;
                    }
                    let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
                    let head = head.replace('\n', "\r\n");
                    let text = format!(
                        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let body = if asked.line.starts_with("HEAD") { "" } else { body };
                    let _ = stream.write_all(format!("{text}{body}").as_bytes());
                });
            }
        });
        Self { port, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut asked = Asked::default();
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        let text = line.trim().to_owned();
        line.clear();
        match text.split_once(": ") {
            Some((key, value)) if key.eq_ignore_ascii_case("authorization") => {
                value.clone_into(&mut asked.authorization);
            }
            Some((key, value)) if key.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            _ if asked.line.is_empty() => {
                text.trim_end_matches(" HTTP/1.1").clone_into(&mut asked.line);
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked.body = String::from_utf8(body).unwrap();
    asked
}
