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
func connect(t *testing.T, options ...func(*stomp.Conn) error) *stomp.Conn {
	t.Helper()
	address := os.Getenv("SABIR_STOMP")
	if address == "" {
		t.Fatal("SABIR_STOMP is not set: host:port of a broker")
	}
	options = append([]func(*stomp.Conn) error{stomp.ConnOpt.Host("localhost"), stomp.ConnOpt.HeartBeat(0, 0)}, options...)
	connection, err := stomp.Dial("tcp", address, options...)
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

func TestEveryVersionIsAgreedOnWithItsHeartBeats(t *testing.T) {
	for _, version := range []stomp.Version{stomp.V10, stomp.V11, stomp.V12} {
		headers := make(chan *frame.Header, 1)
		c := connect(t, stomp.ConnOpt.UseStomp, stomp.ConnOpt.AcceptVersion(version),
			stomp.ConnOpt.Login("guest", "guest"), stomp.ConnOpt.Header("client-id", "go."+string(version)+t.Name()),
			stomp.ConnOpt.HeartBeat(time.Second, time.Second), stomp.ConnOpt.WithStats(),
			stomp.ConnOpt.ResponseHeaders(func(header *frame.Header) { headers <- header }))
		if c.Version() != version || c.Session() == "" || c.Server() == "" {
			t.Fatalf("%v %q %q instead of %v", c.Version(), c.Session(), c.Server(), version)
		}
		header := <-headers
		if beat, found := header.Contains("heart-beat"); found != (version != stomp.V10) {
			t.Fatalf("heart-beat %q in %v", beat, version)
		}
		to := destination(t, "queue")
		send(t, c, to, "hello")
		from := subscribe(t, c, to, stomp.AckClientIndividual)
		message := receive(t, from, "hello")
		must(t, c.Ack(message))
		must(t, from.Unsubscribe())
	}
}

func TestHeartBeatsKeepAnIdleConnection(t *testing.T) {
	// The client ends the connection if the broker's beats do not come, the broker if the client's do not.
	c := connect(t, stomp.ConnOpt.HeartBeat(time.Second, time.Second))
	to := destination(t, "queue")
	from := subscribe(t, c, to, stomp.AckAuto)
	select {
	case message := <-from.C:
		t.Fatalf("the connection has ended: %v", message.Err)
	case <-time.After(4 * time.Second):
	}
	send(t, c, to, "still here")
	receive(t, from, "still here")
}

func TestANackGoesToTheDeadLettersOrBack(t *testing.T) {
	c, to := connect(t), destination(t, "queue")
	mark := stomp.SendOpt.Header("mark", to)
	send(t, c, to, "bad", mark)
	from := subscribe(t, c, to, stomp.AckClientIndividual)
	must(t, c.Nack(receive(t, from, "bad")))
	dead := subscribe(t, c, "/queue/ActiveMQ.DLQ", stomp.AckClientIndividual,
		stomp.SubscribeOpt.Header("selector", fmt.Sprintf("mark = '%s'", to)))
	message := receive(t, dead, "bad")
	if origin := message.Header.Get("original-destination"); origin != to {
		t.Fatalf("it came from %q", origin)
	}
	must(t, c.Ack(message))
}

func TestAcknowledgementsCountWithTheirTransaction(t *testing.T) {
	c, to, done := connect(t), destination(t, "queue"), destination(t, "queue")+".done"
	for _, body := range []string{"kept", "moved", "dropped"} {
		send(t, c, to, body, stomp.SendOpt.Header("mark", to))
	}
	from := subscribe(t, c, to, stomp.AckClientIndividual)
	kept, moved, dropped := receive(t, from, "kept"), receive(t, from, "moved"), receive(t, from, "dropped")
	aborted, err := c.BeginWithError()
	must(t, err)
	must(t, aborted.Ack(kept))
	must(t, aborted.AbortWithReceipt())
	committed := c.Begin()
	must(t, committed.Ack(moved))
	must(t, committed.Nack(dropped))
	must(t, committed.Send(done, "text/plain", []byte("moved"), stomp.SendOpt.Header("persistent", "true")))
	must(t, committed.CommitWithReceipt())
	if err := committed.Commit(); err == nil {
		t.Fatal("a transaction is over when it was committed")
	}
	must(t, c.MustDisconnect())
	other := connect(t)
	message := receive(t, subscribe(t, other, to, stomp.AckAuto), "kept")
	if message.Header.Get("redelivered") != "true" {
		t.Fatalf("it was delivered before: %v", message.Header)
	}
	receive(t, subscribe(t, other, done, stomp.AckAuto), "moved")
}

func TestADurableSubscriptionCollectsWhileItsClientIsAway(t *testing.T) {
	to, id := destination(t, "topic"), fmt.Sprint("go.", time.Now().UnixNano())
	name := stomp.SubscribeOpt.Header("activemq.subscriptionName", "news")
	desk := stomp.ConnOpt.Header("client-id", id)
	first := connect(t, desk)
	subscribe(t, first, to, stomp.AckAuto, name)
	must(t, first.Disconnect())
	send(t, connect(t), to, "missed")
	second := connect(t, desk)
	from := subscribe(t, second, to, stomp.AckAuto, name)
	receive(t, from, "missed")
	must(t, from.Unsubscribe(func(f *frame.Frame) error {
		f.Header.Add("activemq.subscriptionName", "news")
		return nil
	}))
	send(t, second, to, "for nobody")
	again := subscribe(t, second, to, stomp.AckAuto, name)
	send(t, second, to, "for the new one")
	receive(t, again, "for the new one")
}

func TestRequestsAndRepliesThroughATemporaryQueue(t *testing.T) {
	asks, answers, to := connect(t), connect(t), destination(t, "queue")
	replies := subscribe(t, asks, "/temp-queue/replies", stomp.AckAuto)
	requests := subscribe(t, answers, to, stomp.AckAuto)
	send(t, asks, to, "how much?", stomp.SendOpt.Header("reply-to", "/temp-queue/replies"),
		stomp.SendOpt.Header("correlation-id", "c:1"))
	request := receive(t, requests, "how much?")
	send(t, answers, request.Header.Get("reply-to"), "42",
		stomp.SendOpt.Header("correlation-id", request.Header.Get("correlation-id")))
	if reply := receive(t, replies, "42"); reply.Header.Get("correlation-id") != "c:1" {
		t.Fatalf("the reply is to %q", reply.Header.Get("correlation-id"))
	}
}

func TestWithoutContentLengthABodyIsText(t *testing.T) {
	c, to := connect(t), destination(t, "queue")
	send(t, c, to, "text", stomp.SendOpt.NoContentLength)
	message := receive(t, subscribe(t, c, to, stomp.AckAuto), "text")
	if _, found := message.Header.Contains("content-length"); found {
		t.Fatalf("text is not counted: %v", message.Header)
	}
}

func TestAMistakeIsToldAndEndsTheConnection(t *testing.T) {
	c := connect(t)
	from := subscribe(t, c, destination(t, "queue"), stomp.AckAuto)
	stands(t, c)
	err := c.Send("/quue/misspelt", "text/plain", []byte("x"), stomp.SendOpt.Receipt)
	if err == nil {
		t.Fatal("the mistake was not told")
	}
	select {
	case message := <-from.C:
		if message != nil && message.Err == nil {
			t.Fatalf("%v instead of an end", message)
		}
	case <-time.After(patience):
		t.Fatal("the connection goes on")
	}
}

func TestAReadEndsWithItsSubscription(t *testing.T) {
	c, to := connect(t), destination(t, "queue")
	from := subscribe(t, c, to, stomp.AckAuto)
	send(t, c, to, "read")
	message, err := from.Read()
	must(t, err)
	if string(message.Body) != "read" || message.Subscription.Id() != from.Id() {
		t.Fatalf("%q for %q", message.Body, message.Subscription.Id())
	}
	must(t, from.Unsubscribe())
	if _, err := from.Read(); err == nil || from.Active() {
		t.Fatal("the subscription goes on")
	}
}
