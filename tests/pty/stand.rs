//! A server that runs a model, as each test tells it to answer: plain threads over TCP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// Its first line and its headers.
    pub head: String,
    pub body: String,
}

/// An answer.
pub struct Answer {
    pub status: &'static str,
    pub headers: String,
    pub body: String,
}

/// An answer of that type.
pub fn answer(status: &'static str, kind: &str, body: impl Into<String>) -> Answer {
    Answer { status, headers: format!("Content-Type: {kind}\r\n"), body: body.into() }
}

/// An answer in JSON.
pub fn json(body: impl Into<String>) -> Answer {
    answer("200 OK", "application/json", body)
}

/// The models that a server has.
pub fn models(names: &[&str]) -> Answer {
    let all: Vec<String> = names.iter().map(|name| format!("{{\"id\":\"{name}\"}}")).collect();
    json(format!("{{\"data\":[{}]}}", all.join(",")))
}

/// A reply, word by word.
pub fn reply(words: &[&str]) -> Answer {
    let word = |word: &&str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n");
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    answer("200 OK", "text/event-stream", words.iter().map(word).collect::<String>() + end)
}

/// Nothing is at that path.
pub fn not_found() -> Answer {
    answer("404 Not Found", "application/json", "{\"detail\":\"Not Found\"}")
}

/// A server of a test.
pub struct Stand {
    /// Where it is asked.
    pub address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Stand {
    pub fn start(answers: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers) = (Arc::clone(&log), Arc::new(answers));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (kept, answers) = (Arc::clone(&kept), Arc::clone(&answers));
                // That the client goes away in the middle is no fault of the server's.
                std::thread::spawn(move || serve(connection, &kept, answers.as_ref()));
            }
        });
        Self { address, log }
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(connection: TcpStream, log: &Mutex<Vec<Asked>>, answers: &dyn Fn(&Asked) -> Answer) -> Option<()> {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (connection.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    connection.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let asked = Asked { path: head.split_whitespace().nth(1)?.to_owned(), head, body };
    log.lock().unwrap().push(asked.clone());
    let Answer { status, headers, body } = answers(&asked);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    connection.get_mut().write_all((head + &body).as_bytes()).ok()
}
