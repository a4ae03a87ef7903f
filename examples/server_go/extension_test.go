package main

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

// begin builds the extension, and starts it in an environment of its own, with a fake backend to send to.
func begin(t *testing.T) *LambdaTelemetry {
	t.Helper()
	program := filepath.Join(t.TempDir(), "my-extension")
	if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	lambda := StartLambdaTelemetry(t)
	var backend struct{ URL string }
	lambda.Post("backend", nil, &backend)
	lambda.Post("run_extension", Given{"argv": []string{program}, "env": Given{"INTAKE_URL": backend.URL}}, nil)
	lambda.Post("wait_until_ready", Given{"timeout": 30}, nil)
	return lambda
}

func lines(records ...string) Given {
	events := []Given{}
	for _, record := range records {
		events = append(events, Given{"type": "function", "record": record})
	}
	return Given{"events": events}
}

type delivery struct {
	Attempts []struct{ Status int }
}

func TestHalfAMinuteOfBufferingTakesNoTime(t *testing.T) {
	lambda := begin(t)
	var early, due []delivery
	lambda.Post("emit", lines("hello"), nil)
	lambda.Post("advance", Given{"seconds": 29.999}, &early)
	lambda.Post("advance", Given{"ms": 1}, &due)
	if len(early) != 0 || len(due) != 1 {
		t.Fatalf("%d deliveries before they are due, %d when they are", len(early), len(due))
	}
	var requests []struct{ JSON []struct{ Record string } }
	lambda.Post("backend/backend/wait_for", nil, &requests)
	if record := requests[0].JSON[0].Record; record != "hello" {
		t.Fatalf("the backend got %q", record)
	}
}

func TestADeliveryThatFailsComesAgain(t *testing.T) {
	lambda := begin(t)
	lambda.Post("fail_next_delivery", Given{"fault": 503}, nil)
	lambda.Post("emit", lines("hello"), nil)
	var deliveries []delivery
	lambda.Post("advance", Given{"seconds": 31}, &deliveries)
	var statuses []int
	for _, attempt := range deliveries[0].Attempts {
		statuses = append(statuses, attempt.Status)
	}
	if !reflect.DeepEqual(statuses, []int{503, 200}) {
		t.Fatalf("the attempts were answered %v", statuses)
	}
}

func TestEveryLineReachesTheBackendExactlyOnce(t *testing.T) {
	lambda := begin(t)
	lambda.Post("backend/backend/fail_next", Given{"fault": 500}, nil)
	lambda.Post("fail_next_delivery", Given{"fault": "refuse", "times": 2}, nil)
	lambda.Post("emit", lines("one", "two"), nil)
	lambda.Post("advance", Given{"seconds": 31}, nil)
	lambda.Post("invoke", Given{"logs": []string{"three"}}, nil)
	lambda.Post("shutdown", nil, nil)
	lambda.Post("assert_exactly_once", nil, nil)
}
