//! A client of the server for Rust's tests; copy this file. It wants nothing but std: options and answers are JSON as text
//! (with serde_json, `value` is the field of that name).
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{self, Child, Command, Stdio};

/// A server with one fake execution environment at a time; it ends with this value.
pub struct LambdaTelemetry {
    server: Child,
    control: String,
}

impl LambdaTelemetry {
    pub fn start() -> Self {
        let command = env::var("LAMBDA_TELEMETRY").unwrap_or("lambda-telemetry".into());
        let mut words = command.split_whitespace();
        let mut server = Command::new(words.next().expect("a command"))
            .args(words)
            .args(["serve", "--parent", &process::id().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let output = server.stdout.as_mut().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the server tells where it is");
        let control = field(&line, "control").trim_matches('"').to_string();
        LambdaTelemetry { server, control }
    }

    /// Calls what acts or waits, with options as JSON; the answer, or what it was refused for.
    pub fn try_post(&self, name: &str, given: &str) -> Result<String, String> {
        self.call("POST", name, given)
    }

    /// The same where it must work.
    pub fn post(&self, name: &str, given: &str) -> String {
        self.try_post(name, given)
            .unwrap_or_else(|answer| panic!("POST {name}: {answer}"))
    }

    /// Reads.
    pub fn get(&self, name: &str) -> String {
        self.call("GET", name, "")
            .unwrap_or_else(|answer| panic!("GET {name}: {answer}"))
    }

    fn call(&self, method: &str, name: &str, body: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(&self.control).expect("the server listens");
        let (host, length) = (&self.control, body.len());
        let head = format!(
            "{method} /v1/{name} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream
            .write_all((head + body).as_bytes())
            .expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        if head.starts_with("HTTP/1.1 200") {
            Ok(body.into())
        } else {
            Err(body.into())
        }
    }
}

impl Drop for LambdaTelemetry {
    fn drop(&mut self) {
        // SIGTERM, with which it ends its children too; std only has SIGKILL
        let _ = Command::new("kill")
            .arg(self.server.id().to_string())
            .status();
        let _ = self.server.wait();
    }
}

/// The text of a field that is a string or a number, in JSON of the server's.
pub fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let key = format!("\"{name}\": ");
    let value = &json[json
        .find(&key)
        .unwrap_or_else(|| panic!("no {name} in {json}"))
        + key.len()..];
    &value[..value.find([',', '}', ']']).unwrap_or(value.len())]
}
