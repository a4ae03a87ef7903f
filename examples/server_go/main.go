// A telemetry extension in Go: sends the function's log lines on to INTAKE_URL, and tries again until they are taken.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	listener, err := net.Listen("tcp4", ":0") // sandbox.localdomain is one of its addresses
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(listener, http.HandlerFunc(forward))

	name := filepath.Base(os.Args[0]) // Lambda wants the file's name
	headers, _ := call("POST", "/2020-01-01/extension/register", `{"events": ["INVOKE", "SHUTDOWN"]}`, "Lambda-Extension-Name", name)
	identifier := headers.Get("Lambda-Extension-Identifier")
	port := listener.Addr().(*net.TCPAddr).Port
	call("PUT", "/2022-07-01/telemetry", fmt.Sprintf(`{
		"schemaVersion": "2022-12-13",
		"types": ["function"],
		"buffering": {"timeoutMs": 30000},
		"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:%d"}
	}`, port), "Lambda-Extension-Identifier", identifier)

	for {
		_, body := call("GET", "/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier", identifier)
		var event struct{ EventType string }
		if err := json.Unmarshal(body, &event); err != nil {
			log.Fatal(err)
		}
		if event.EventType == "SHUTDOWN" {
			return
		}
	}
}

// forward acknowledges a batch only once the intake has it: what is acknowledged is never sent again.
func forward(answer http.ResponseWriter, request *http.Request) {
	batch, err := io.ReadAll(request.Body)
	for attempt := 0; err == nil && attempt < 5; attempt++ {
		taken, err := http.Post(os.Getenv("INTAKE_URL"), "application/json", bytes.NewReader(batch))
		if err == nil {
			taken.Body.Close()
			if taken.StatusCode < 300 {
				return
			}
		}
	}
	http.Error(answer, "the intake takes nothing", http.StatusBadGateway)
}

func call(method, path, body, header, value string) (http.Header, []byte) {
	request, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+path, bytes.NewReader([]byte(body)))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(header, value)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	read, _ := io.ReadAll(answer.Body)
	if answer.StatusCode >= 300 {
		log.Fatalf("%s %s: %s %s", method, path, answer.Status, read)
	}
	return answer.Header, read
}
