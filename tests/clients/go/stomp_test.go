// SPDX-License-Identifier: Apache-2.0

// Package clients asks a running broker, at SABIR_STOMP, for the features that go-stomp has.
package clients

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

const patience = 30 * time.Second

// connect opens a connection that ends with the test.
func connect(t *testing.T) *stomp.Conn {
	t.Helper()
	address := os.Getenv("SABIR_STOMP")
	if address == "" {
		t.Fatal("SABIR_STOMP is not set: host:port of a broker")
	}
	connection, err := stomp.Dial("tcp", address, stomp.ConnOpt.Host("localhost"), stomp.ConnOpt.HeartBeat(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.MustDisconnect() })
	return connection
}

func destination(t *testing.T, kind string) string {
	return fmt.Sprintf("/%s/go.%s.%d", kind, t.Name(), time.Now().UnixNano())
}

func subscribe(t *testing.T, c *stomp.Conn, to string, ack stomp.AckMode, o ...func(*frame.Frame) error) *stomp.Subscription {
	t.Helper()
	subscription, err := c.Subscribe(to, ack, o...)
	if err != nil {
		t.Fatal(err)
	}
	return subscription
}

// stands waits until the connection's subscriptions stand: a receipt covers what was sent before.
func stands(t *testing.T, c *stomp.Conn) {
	t.Helper()
	send(t, c, destination(t, "queue"), "after the subscription")
}

func send(t *testing.T, c *stomp.Conn, to, body string, o ...func(*frame.Frame) error) {
	t.Helper()
	o = append(o, stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true"))
	if err := c.Send(to, "text/plain", []byte(body), o...); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, from *stomp.Subscription, body string) *stomp.Message {
	t.Helper()
	select {
	case message := <-from.C:
		if message == nil || message.Err != nil {
			t.Fatalf("no message but %v", message)
		}
		if string(message.Body) != body {
			t.Fatalf("%q instead of %q", message.Body, body)
		}
		return message
	case <-time.After(patience):
		t.Fatalf("%q does not come", body)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMessagesKeepTheirOrderBodiesAndHeaders(t *testing.T) {
	c, to := connect(t), destination(t, "queue")
	for number := range 100 {
		send(t, c, to, fmt.Sprint("n", number), stomp.SendOpt.Header("colour", "r:e\\d"))
	}
	from := subscribe(t, c, to, stomp.AckAuto)
	for number := range 100 {
		message := receive(t, from, fmt.Sprint("n", number))
		if got := message.Header.Get("colour"); got != "r:e\\d" {
			t.Fatalf("the header came as %q", got)
		}
		if got := message.ContentType; got != "text/plain" {
			t.Fatalf("the content type came as %q", got)
		}
	}
}

func TestAMessageThatIsNotAcknowledgedGoesToTheNextConsumer(t *testing.T) {
	to := destination(t, "queue")
	first := connect(t)
	send(t, first, to, "once")
	receive(t, subscribe(t, first, to, stomp.AckClientIndividual), "once")
	must(t, first.MustDisconnect())
	second := connect(t)
	message := receive(t, subscribe(t, second, to, stomp.AckClientIndividual), "once")
	must(t, second.Ack(message))
}

func TestAnAcknowledgementCoversEarlierMessages(t *testing.T) {
	to := destination(t, "queue")
	first := connect(t)
	for _, body := range []string{"a", "b", "c"} {
		send(t, first, to, body)
	}
	from := subscribe(t, first, to, stomp.AckClient)
	receive(t, from, "a")
	message := receive(t, from, "b")
	receive(t, from, "c")
	must(t, first.Ack(message))
	must(t, first.Disconnect())
	receive(t, subscribe(t, connect(t), to, stomp.AckAuto), "c")
}

func TestATransactionCountsWholeOrNotAtAll(t *testing.T) {
	c, to := connect(t), destination(t, "queue")
	aborted := c.Begin()
	must(t, aborted.Send(to, "text/plain", []byte("never")))
	must(t, aborted.Abort())
	committed := c.Begin()
	must(t, committed.Send(to, "text/plain", []byte("one")))
	must(t, committed.Send(to, "text/plain", []byte("two")))
	must(t, committed.Commit())
	from := subscribe(t, c, to, stomp.AckAuto)
	receive(t, from, "one")
	receive(t, from, "two")
}

func TestATopicReachesEverySubscriberAndASelectorChooses(t *testing.T) {
	c, to := connect(t), destination(t, "topic")
	all := subscribe(t, c, to, stomp.AckAuto)
	other := connect(t)
	some := subscribe(t, other, to, stomp.AckAuto, stomp.SubscribeOpt.Header("selector", "size > 5 AND colour = 'red'"))
	stands(t, c)
	stands(t, other)
	for _, size := range []string{"3", "7"} {
		send(t, c, to, "size "+size, stomp.SendOpt.Header("size", size), stomp.SendOpt.Header("colour", "red"))
	}
	receive(t, all, "size 3")
	receive(t, all, "size 7")
	receive(t, some, "size 7")
}

func TestABodyOfAnyBytesAndSizeComesWhole(t *testing.T) {
	c, to := connect(t), destination(t, "queue")
	body := make([]byte, 3_000_000)
	for index := range body {
		body[index] = byte(index * 7)
	}
	send(t, c, to, string(body))
	receive(t, subscribe(t, c, to, stomp.AckAuto), string(body))
}
