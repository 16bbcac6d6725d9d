// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.Topic;
import javax.jms.TransactionRolledBackException;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import sabir.harness.Broker;
import sabir.harness.Gate;

/** Clients with failover: addresses, over links that are cut and brokers that are killed. */
@Timeout(120)
class FailoverTest extends JmsTest {
    private Broker broker;
    private Gate gate;

    @BeforeEach
    void open() {
        broker = closing(Broker.start());
        gate = closing(new Gate(broker.port()));
    }

    /** Clients that wait for no answer would hold up the end. */
    @AfterEach
    void openTheGate() {
        gate.open();
    }

    @Override
    String brokerUri() {
        return broker.uri();
    }

    private ActiveMQConnection failover(String options) throws JMSException {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(
                "failover:(" + gate.uri() + ")?initialReconnectDelay=5&maxReconnectDelay=50" + options);
        return start(factory);
    }

    private void killAndRestart() {
        broker.kill();
        gate.cut();
        broker.restart();
    }

    /** What a queue holds, for a client that hides no duplicates. */
    private List<String> all(Queue queue) throws JMSException {
        ActiveMQConnection connection = connect("?jms.checkForDuplicates=false");
        MessageConsumer consumer = auto(connection).createConsumer(queue);
        List<String> texts = new ArrayList<>();
        for (Message message = consumer.receive(4 * ABSENCE_MS); message != null;
                message = consumer.receive(2 * ABSENCE_MS)) {
            texts.add(text(message));
        }
        connection.close();
        return texts;
    }

    /** Sends in the background until it is told to stop, and says how many were confirmed. */
    private static final class Sending {
        final AtomicInteger confirmed = new AtomicInteger();
        private final CountDownLatch stop = new CountDownLatch(1);
        private final CompletableFuture<Void> done;

        Sending(Session session, Queue queue) throws JMSException {
            MessageProducer producer = session.createProducer(queue);
            done = CompletableFuture.runAsync(() -> {
                try {
                    while (stop.getCount() > 0) {
                        producer.send(session.createTextMessage(Integer.toString(confirmed.get())));
                        confirmed.incrementAndGet();
                    }
                } catch (JMSException error) {
                    throw new IllegalStateException(error);
                }
            });
        }

        void awaitMore(int count) throws InterruptedException {
            int goal = confirmed.get() + count;
            eventually("sending goes on", () -> confirmed.get() >= goal || done.isDone());
        }

        int finish() throws Exception {
            stop.countDown();
            done.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
            return confirmed.get();
        }
    }

    @Test
    void sendsThatAreConfirmedOverKillsAreThereOnceAndInOrder() throws Exception {
        Session session = auto(failover(""));
        Queue queue = session.createQueue(name);
        Sending sending = new Sending(session, queue);
        for (int round = 0; round < 2; round++) {
            sending.awaitMore(30);
            killAndRestart();
        }
        sending.awaitMore(30);
        int count = sending.finish();
        assertEquals(List.of(numbers(0, count)), all(queue));
    }

    @Test
    void aSendWhoseAnswerWasLostIsNotStoredTwice() throws Exception {
        Session session = auto(failover(""));
        Queue queue = session.createQueue(name);
        Sending sending = new Sending(session, queue);
        for (int round = 0; round < 10; round++) {
            sending.awaitMore(5);
            gate.swallowAnswers();
            gate.cut();
        }
        sending.awaitMore(5);
        int count = sending.finish();
        assertEquals(List.of(numbers(0, count)), all(queue));
    }

    @Test
    void aResentMessageIsRecognisedOnANewLink() throws Exception {
        Session session = auto(failover(""));
        Queue queue = session.createQueue(name);
        CompletableFuture<Void> sent = sendUnanswered(gate, session, queue, "once");
        gate.cut();
        sent.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertEquals(List.of("once"), all(queue));
    }

    @Test
    void aResentMessageIsRecognisedByABrokerThatWasKilledMeanwhile() throws Exception {
        Session session = auto(failover(""));
        Queue queue = session.createQueue(name);
        CompletableFuture<Void> sent = sendUnanswered(gate, session, queue, "once");
        killAndRestart();
        sent.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertEquals(List.of("once"), all(queue));
    }

    @Test
    void aConsumerGoesOnAfterKillsAndMissesNothing() throws Exception {
        Session session = client(failover(""));
        Queue queue = session.createQueue(name);
        sendMany(session(), queue, 30);
        MessageConsumer consumer = session.createConsumer(queue);
        Set<String> seen = new HashSet<>();
        for (int number = 0; number < 10; number++) {
            Message message = receive(consumer);
            seen.add(text(message));
            message.acknowledge();
        }
        killAndRestart();
        while (seen.size() < 30) {
            Message message = receive(consumer);
            seen.add(text(message));
            message.acknowledge();
        }
        assertEquals(Set.of(numbers(0, 30)), seen);
        session.close();
        assertEquals(List.of(), all(queue));
    }

    @Test
    void anAcknowledgementAfterTheLinkWasCutDoesNoHarm() throws Exception {
        Session session = client(failover(""));
        Queue queue = session.createQueue(name);
        sendMany(session(), queue, 5);
        MessageConsumer consumer = session.createConsumer(queue);
        Message first = receive(consumer);
        gate.cut();
        // The broker knows nothing of this delivery on the new link: it may take the acknowledgement or leave it.
        first.acknowledge();
        Set<String> seen = new HashSet<>(Set.of(text(first)));
        while (seen.size() < 5) {
            Message message = receive(consumer);
            seen.add(text(message));
            message.acknowledge();
        }
        assertEquals(Set.of(numbers(0, 5)), seen);
        send(session, queue, "after");
        for (Message message = receive(consumer); !text(message).equals("after"); message = receive(consumer)) {
            message.acknowledge();
        }
    }

    @Test
    void aTransactionThatACutInterruptsIsWholeOrRolledBack() throws Exception {
        Session session = transacted(failover(""));
        Queue queue = session.createQueue(name);
        send(session, queue, "0", "1");
        gate.cut();
        boolean committed;
        try {
            send(session, queue, "2");
            session.commit();
            committed = true;
        } catch (TransactionRolledBackException error) {
            committed = false;
        }
        if (!committed) {
            send(session, queue, "0", "1", "2");
            session.commit();
        }
        assertEquals(List.of("0", "1", "2"), all(queue));
    }

    @Test
    void aTransactionThatAKillInterruptsIsWholeOrRolledBack() throws Exception {
        Session session = transacted(failover(""));
        Queue queue = session.createQueue(name);
        send(session, queue, "0", "1");
        killAndRestart();
        try {
            send(session, queue, "2");
            session.commit();
        } catch (TransactionRolledBackException error) {
            send(session, queue, "0", "1", "2");
            session.commit();
        }
        assertEquals(List.of("0", "1", "2"), all(queue));
    }

    @Test
    void aCommitWhoseAnswerWasLostIsNotDoneByHalves() throws Exception {
        Session session = transacted(failover(""));
        Queue queue = session.createQueue(name);
        send(session, queue, "0", "1");
        Session watching = session();
        gate.swallowAnswers();
        CompletableFuture<Boolean> commit = CompletableFuture.supplyAsync(() -> {
            try {
                session.commit();
                return true;
            } catch (TransactionRolledBackException error) {
                return false;
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        eventually("the broker has committed", () -> {
            try {
                return watching.createBrowser(queue).getEnumeration().hasMoreElements();
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        gate.cut();
        // The client cannot know that it was done, and says that it was rolled back; what is there is all of it.
        commit.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertEquals(List.of("0", "1"), all(queue));
    }

    @Test
    void consumingInATransactionThatACutInterruptsLosesNothing() throws Exception {
        Session session = transacted(failover(""));
        Queue queue = session.createQueue(name);
        sendMany(session(), queue, 3);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "0");
        gate.cut();
        // The interrupted transaction is rolled back and all of it comes again, or it is committed with what follows.
        Set<String> open = new HashSet<>(Set.of("0"));
        Set<String> committed = new HashSet<>();
        while (!committed.containsAll(Set.of("1", "2"))) {
            try {
                open.add(text(receive(consumer)));
                session.commit();
                committed.addAll(open);
            } catch (JMSException error) {
                // It says that all was rolled back, in one way or another: what was open comes again.
            }
            open.clear();
        }
        session.close();
        committed.addAll(all(queue));
        assertEquals(Set.of("0", "1", "2"), committed);
    }

    @Test
    void requestsAndRepliesGoOnAfterAKill() throws Exception {
        ActiveMQConnection asking = failover("");
        ActiveMQConnection answering = failover("");
        Session server = auto(answering);
        Queue requests = server.createQueue(name);
        MessageProducer replier = server.createProducer(null);
        server.createConsumer(requests).setMessageListener(request -> {
            try {
                replier.send(request.getJMSReplyTo(), server.createTextMessage("re: " + text(request)));
            } catch (JMSException error) {
                // The link was cut between the request and the reply; the asker asks again.
            }
        });
        Session session = auto(asking);
        TemporaryQueue replies = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(replies);
        MessageProducer producer = session.createProducer(requests);
        for (int round = 0; round < 6; round++) {
            if (round == 2) {
                gate.cut();
            } else if (round == 4) {
                killAndRestart();
            }
            Message request = session.createTextMessage("round " + round);
            request.setJMSReplyTo(replies);
            String expected = "re: round " + round;
            Message reply = null;
            for (int attempt = 0; attempt < 10 && (reply == null || !text(reply).equals(expected)); attempt++) {
                producer.send(request);
                reply = consumer.receive(2000);
            }
            assertNotNull(reply, "a reply was to come in round " + round);
            assertEquals(expected, text(reply));
        }
    }

    @Test
    void aDurableSubscriptionGoesOnAfterAKill() throws Exception {
        ActiveMQConnection connection = failover("&jms.clientID=" + name);
        Session session = auto(connection);
        Topic topic = session.createTopic(name);
        MessageConsumer subscriber = session.createDurableSubscriber(topic, "sub");
        sendMany(session(), topic, 5);
        expect(subscriber, numbers(0, 5));
        killAndRestart();
        Session after = session();
        Set<String> seen = new HashSet<>();
        sendMany(after, topic, 8);
        while (!seen.contains("7")) {
            seen.add(text(receive(subscriber)));
        }
        assertTrue(seen.containsAll(Set.of("5", "6", "7")));
    }

    @Test
    void aClientIdIsTakenOverByTheNewLinkOfItsOwner() throws Exception {
        // The broker has not heard that the old link is gone when the new one comes.
        ActiveMQConnection connection = failover("&jms.clientID=" + name);
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        for (int round = 0; round < 5; round++) {
            gate.cut();
            send(session, queue, "round " + round);
        }
        assertEquals(5, all(queue).size());
    }

    @Test
    void messagesThatWerePrefetchedWhenTheLinkWasCutAreNotSeenTwiceByTheirConsumer() throws Exception {
        Session session = auto(failover(""));
        Queue queue = session.createQueue(name);
        sendMany(session(), queue, 50);
        MessageConsumer consumer = session.createConsumer(queue);
        List<String> seen = new ArrayList<>(take(consumer, 10));
        gate.cut();
        seen.addAll(take(consumer, 40));
        expectNothing(consumer);
        assertEquals(50, new HashSet<>(seen).size());
        session.close();
        assertEquals(List.of(), all(queue));
    }

    @Test
    void aClientWaitsForABrokerThatIsNotThereYet() throws Exception {
        gate.shut();
        CompletableFuture<List<String>> received = CompletableFuture.supplyAsync(() -> {
            try {
                Session session = auto(failover(""));
                Queue queue = session.createQueue(name);
                send(session, queue, "at last");
                return take(session.createConsumer(queue), 1);
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        gate.open();
        assertEquals(List.of("at last"), received.get(PATIENCE_MS, TimeUnit.MILLISECONDS));
    }

    @Test
    void aClientGoesToAnotherAddressOfItsList() throws Exception {
        Gate second = closing(new Gate(broker.port()));
        ActiveMQConnection connection = start(new ActiveMQConnectionFactory("failover:(" + gate.uri() + ","
                + second.uri() + ")?randomize=false&initialReconnectDelay=5"));
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        send(session, queue, "by the first");
        gate.shut();
        gate.cut();
        send(session, queue, "by the second");
        assertEquals(List.of("by the first", "by the second"), all(queue));
    }
}
