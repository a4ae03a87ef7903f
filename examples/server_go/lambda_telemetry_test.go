// A client of the server for Go's testing; copy this file. It wants nothing but the standard library.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// LambdaTelemetry is a server with one fake execution environment at a time.
type LambdaTelemetry struct {
	t       *testing.T
	control string
}

// StartLambdaTelemetry starts a server for one test, which fails at its end where the extension broke a rule of Lambda's.
func StartLambdaTelemetry(t *testing.T, options ...string) *LambdaTelemetry {
	t.Helper()
	command := strings.Fields(os.Getenv("LAMBDA_TELEMETRY"))
	if len(command) == 0 {
		command = []string{"lambda-telemetry"}
	}
	command = append(command, "serve", "--parent", strconv.Itoa(os.Getpid()))
	server := exec.Command(command[0], append(command[1:], options...)...)
	server.Stderr = os.Stderr
	output, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	line, err := bufio.NewReader(output).ReadBytes('\n')
	var ready struct{ Control string }
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	made := &LambdaTelemetry{t, ready.Control}
	t.Cleanup(func() {
		made.Post("end", nil, nil)
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	})
	return made
}

// Given are the options of a call, by name.
type Given map[string]any

// Post calls what acts or waits; value, a pointer or nil, gets what it returns. A call that is refused fails the test.
func (l *LambdaTelemetry) Post(name string, given Given, value any) {
	l.t.Helper()
	if given == nil {
		given = Given{}
	}
	l.call("POST", name, given, value)
}

// Get reads; value, a pointer, gets what there is.
func (l *LambdaTelemetry) Get(name string, value any) {
	l.t.Helper()
	l.call("GET", name, nil, value)
}

// Delete ends an invocation.
func (l *LambdaTelemetry) Delete(name string, value any) {
	l.t.Helper()
	l.call("DELETE", name, nil, value)
}

func (l *LambdaTelemetry) call(method, name string, given Given, value any) {
	l.t.Helper()
	var body []byte
	if given != nil {
		var err error
		if body, err = json.Marshal(given); err != nil {
			l.t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, "http://"+l.control+"/v1/"+name, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Value          json.RawMessage
		Error, Message string
		Warnings       []string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		l.t.Fatal(err)
	}
	for _, warning := range answer.Warnings {
		l.t.Log(warning)
	}
	if answer.Error != "" {
		l.t.Fatalf("%s %s: %s: %s", method, name, answer.Error, answer.Message)
	}
	if value != nil {
		if err := json.Unmarshal(answer.Value, value); err != nil {
			l.t.Fatal(err)
		}
	}
}
