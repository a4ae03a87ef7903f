mod lambda_telemetry;
use lambda_telemetry::{field, LambdaTelemetry};

/// The extension in an environment of its own, with a fake backend to send to.
fn begin() -> LambdaTelemetry {
    let lambda = LambdaTelemetry::start();
    let backend = lambda.post("backend", "{}");
    let (program, port) = (env!("CARGO_BIN_EXE_my-extension"), field(&backend, "port"));
    let started =
        format!(r#"{{"argv": ["{program}"], "env": {{"INTAKE_HOST": "127.0.0.1:{port}"}}}}"#);
    lambda.post("run_extension", &started);
    lambda.post("wait_until_ready", r#"{"timeout": 30}"#);
    lambda
}

/// Fails where the extension broke a rule of Lambda's.
fn end(lambda: LambdaTelemetry) {
    lambda.post("end", "{}");
}

#[test]
fn half_a_minute_of_buffering_takes_no_time() {
    let lambda = begin();
    lambda.post(
        "emit",
        r#"{"events": [{"type": "function", "record": "hello"}]}"#,
    );
    assert!(lambda
        .post("advance", r#"{"seconds": 29.999}"#)
        .contains(r#""value": []"#));
    assert!(lambda
        .post("advance", r#"{"ms": 1}"#)
        .contains(r#""ok": true"#));
    assert!(lambda.get("backend/backend/requests").contains("hello"));
    end(lambda);
}

#[test]
fn a_delivery_that_fails_comes_again() {
    let lambda = begin();
    lambda.post("fail_next_delivery", r#"{"fault": 503}"#);
    lambda.post(
        "emit",
        r#"{"events": [{"type": "function", "record": "hello"}]}"#,
    );
    assert_eq!(
        field(
            &lambda.post("advance", r#"{"seconds": 31}"#),
            "attempt_count"
        ),
        "2"
    );
    end(lambda);
}

#[test]
fn every_line_reaches_the_backend_exactly_once() {
    let lambda = begin();
    lambda.post("backend/backend/fail_next", r#"{"fault": 500}"#);
    lambda.post("fail_next_delivery", r#"{"fault": "refuse", "times": 2}"#);
    lambda.post("emit", r#"{"events": [{"type": "function", "record": "one"}, {"type": "function", "record": "two"}]}"#);
    lambda.post("advance", r#"{"seconds": 31}"#);
    lambda.post("invoke", r#"{"logs": ["three"]}"#);
    lambda.post("shutdown", "{}");
    lambda.post("assert_exactly_once", "{}");
    end(lambda);
}
