//! A telemetry extension in Rust, with nothing but std: sends the function's log lines on to INTAKE_HOST, and tries
//! again until they are taken. (A real one would use tokio and the lambda-extension crate; the test would be the same.)
use std::env;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> Result<()> {
    let listener = TcpListener::bind("0.0.0.0:0")?; // sandbox.localdomain is one of its addresses
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = forward(stream);
        }
    });

    let api = env::var("AWS_LAMBDA_RUNTIME_API").expect("run by Lambda");
    let program = env::args().next().expect("a program has a name");
    let name = program.rsplit('/').next().expect("a path has a last part"); // Lambda wants the file's name
    let registered = call(
        &api,
        "POST /2020-01-01/extension/register",
        &format!("Lambda-Extension-Name: {name}"),
        r#"{"events": ["INVOKE", "SHUTDOWN"]}"#,
    )?;
    let identifier = registered
        .lines()
        .find(|line| {
            line.to_lowercase()
                .starts_with("lambda-extension-identifier:")
        })
        .expect("register is answered with an identifier")
        .to_string();
    call(
        &api,
        "PUT /2022-07-01/telemetry",
        &identifier,
        &format!(
            r#"{{"schemaVersion": "2022-12-13", "types": ["function"], "buffering": {{"timeoutMs": 30000}},
            "destination": {{"protocol": "HTTP", "URI": "http://sandbox.localdomain:{port}"}}}}"#
        ),
    )?;
    while !call(
        &api,
        "GET /2020-01-01/extension/event/next",
        &identifier,
        "",
    )?
    .contains("SHUTDOWN")
    {}
    Ok(())
}

/// Acknowledges a batch only once the intake has it: what is acknowledged is never sent again.
fn forward(mut stream: TcpStream) -> Result<()> {
    let batch = read_message(&stream)?.1;
    let intake = env::var("INTAKE_HOST").expect("the address of the intake");
    for _ in 0..5 {
        if let Ok(answer) = call(&intake, "POST /", "X-Sent-By: my-extension", &batch) {
            if answer.starts_with("HTTP/1.1 2") {
                return stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        }
    }
    stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// One request on a connection of its own; the whole answer.
fn call(address: &str, what: &str, header: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{what} HTTP/1.1\r\nHost: {address}\r\n{header}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let (head, body) = read_message(&stream)?;
    Ok(head + &body)
}

fn read_message(stream: &TcpStream) -> Result<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head += &line;
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}
