// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** When a message is done with, and what becomes of those that are not. */
class AcknowledgeTest extends JmsTest {
    private Session sender;
    private Queue queue;

    @BeforeEach
    void open() throws JMSException {
        sender = session();
        queue = sender.createQueue(name);
    }

    /** What comes to the next consumer of the queue, with its mark. */
    private void expectLeft(boolean redelivered, String... texts) throws JMSException {
        MessageConsumer next = session().createConsumer(queue);
        for (String text : texts) {
            Message message = receive(next);
            assertEquals(text, text(message));
            assertEquals(redelivered, message.getJMSRedelivered(), () -> "whether " + text + " was redelivered");
        }
        expectNothing(next);
    }

    @Test
    void autoAcknowledgesWhenReceiveReturns() throws JMSException {
        sendMany(sender, queue, 3);
        ActiveMQConnection connection = connect();
        MessageConsumer consumer = auto(connection).createConsumer(queue);
        expect(consumer, "0", "1");
        connection.close();
        expectLeft(false, "2");
    }

    @Test
    void autoAcknowledgesWhenTheListenerReturns() throws Exception {
        sendMany(sender, queue, 3);
        ActiveMQConnection connection = connect();
        BlockingQueue<Message> seen = listen(auto(connection).createConsumer(queue));
        for (String text : numbers(0, 3)) {
            assertEquals(text, text(next(seen)));
        }
        connection.close();
        expectLeft(false);
    }

    @Test
    void autoDoesNotAcknowledgeBeforeTheListenerReturns() throws Exception {
        send(sender, queue, "held");
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        ActiveMQConnection connection = connect();
        auto(connection).createConsumer(queue).setMessageListener(message -> {
            inside.countDown();
            try {
                leave.await(PATIENCE_MS, TimeUnit.MILLISECONDS);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        });
        assertTrue(inside.await(PATIENCE_MS, TimeUnit.MILLISECONDS));
        breakLink(connection);
        leave.countDown();
        expectLeft(true, "held");
    }

    @Test
    void aListenerThatThrowsSeesTheMessageAgain() throws Exception {
        send(sender, queue, "hard", "after");
        ActiveMQConnection connection = connect("?jms.redeliveryPolicy.initialRedeliveryDelay=1");
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        AtomicInteger calls = new AtomicInteger();
        auto(connection).createConsumer(queue).setMessageListener(message -> {
            try {
                seen.add(text(message) + " " + message.getJMSRedelivered() + " "
                        + message.getIntProperty("JMSXDeliveryCount"));
            } catch (JMSException error) {
                seen.add(error.toString());
            }
            if (calls.incrementAndGet() <= 2) {
                throw new IllegalStateException("thrown by the test");
            }
        });
        assertEquals("hard false 1", next(seen));
        assertEquals("hard true 2", next(seen));
        assertEquals("hard true 3", next(seen));
        assertEquals("after false 1", next(seen));
        connection.close();
        expectLeft(false);
    }

    @Test
    void acknowledgingTheFifthCoversTheFiveSoFarAndNoMore() throws JMSException {
        sendMany(sender, queue, 10);
        ActiveMQConnection connection = connect();
        MessageConsumer consumer = client(connection).createConsumer(queue);
        expect(consumer, "0", "1", "2", "3");
        receive(consumer).acknowledge();
        expect(consumer, "5", "6");
        connection.close();
        MessageConsumer next = session().createConsumer(queue);
        for (int number = 5; number < 10; number++) {
            Message message = receive(next);
            assertEquals(Integer.toString(number), text(message));
            assertEquals(number < 7, message.getJMSRedelivered(), "whether it was seen before");
        }
        expectNothing(next);
    }

    @Test
    void acknowledgingCoversAllConsumersOfTheSessionAndNoOtherSession() throws JMSException {
        Queue other = sender.createQueue(name + ".other");
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=1");
        Session one = client(connection);
        Session two = client(connection);
        MessageConsumer first = one.createConsumer(queue);
        MessageConsumer second = one.createConsumer(other);
        MessageConsumer third = two.createConsumer(queue);
        sendMany(sender, queue, 2);
        sendMany(sender, other, 2);
        expect(first, "0");
        expect(third, "1");
        Message last = receive(second);
        last.acknowledge();
        connection.close();
        assertEquals(List.of("1"), drain(queue));
        assertEquals(List.of("1"), drain(other));
    }

    @Test
    void acknowledgingAnEarlierMessageCoversAllThatTheSessionReceived() throws JMSException {
        sendMany(sender, queue, 5);
        ActiveMQConnection connection = connect();
        MessageConsumer consumer = client(connection).createConsumer(queue);
        Message first = receive(consumer);
        expect(consumer, "1", "2");
        first.acknowledge();
        connection.close();
        assertEquals(List.of("3", "4"), drain(queue));
    }

    @Test
    void recoverDeliversAgainWhatWasNotAcknowledged() throws JMSException {
        sendMany(sender, queue, 3);
        ActiveMQConnection connection = connect("?jms.redeliveryPolicy.initialRedeliveryDelay=1");
        Session session = client(connection);
        MessageConsumer consumer = session.createConsumer(queue);
        receive(consumer).acknowledge();
        expect(consumer, "1", "2");
        session.recover();
        for (String text : List.of("1", "2")) {
            Message message = receive(consumer);
            assertEquals(text, text(message));
            assertTrue(message.getJMSRedelivered());
            assertEquals(2, message.getIntProperty("JMSXDeliveryCount"));
            message.acknowledge();
        }
        connection.close();
        expectLeft(false);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 10, 1000})
    void duplicatesOkConsumesAllBeforeItCloses(int prefetch) throws JMSException {
        sendMany(sender, queue, 50);
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=" + prefetch);
        Session session = connection.createSession(false, Session.DUPS_OK_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, numbers(0, 50));
        connection.close();
        expectLeft(false);
    }

    @Test
    void individualCoversThatMessageAlone() throws JMSException {
        sendMany(sender, queue, 5);
        ActiveMQConnection connection = connect();
        Session session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(queue);
        for (int number = 0; number < 5; number++) {
            Message message = receive(consumer);
            if (number == 1 || number == 3) {
                message.acknowledge();
            }
        }
        connection.close();
        expectLeft(true, "0", "2", "4");
    }

    @Test
    void individualMayAcknowledgeBackwards() throws JMSException {
        sendMany(sender, queue, 3);
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=3");
        Session session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(queue);
        Message first = receive(consumer);
        Message second = receive(consumer);
        Message third = receive(consumer);
        third.acknowledge();
        second.acknowledge();
        send(sender, queue, "3", "4");
        expect(consumer, "3", "4");
        first.acknowledge();
        connection.close();
        expectLeft(true, "3", "4");
    }

    @Test
    void whatWasReceivedAndNotAcknowledgedComesBackMarkedToTheNextConsumer() throws JMSException {
        sendMany(sender, queue, 2);
        ActiveMQConnection connection = connect();
        expect(client(connection).createConsumer(queue), "0", "1");
        connection.close();
        MessageConsumer next = session().createConsumer(queue);
        Message message = receive(next);
        assertEquals("0", text(message));
        assertTrue(message.getJMSRedelivered());
        assertEquals(2, message.getIntProperty("JMSXDeliveryCount"));
        expect(next, "1");
    }

    @Test
    void whatWasOnlyPrefetchedComesBackUnmarkedAndInOrder() throws JMSException {
        sendMany(sender, queue, 20);
        ActiveMQConnection connection = connect();
        MessageConsumer consumer = client(connection).createConsumer(queue);
        receive(consumer).acknowledge();
        connection.close();
        expectLeft(false, numbers(1, 20));
    }

    @Test
    void aClosedConsumerGivesBackWhatItHeld() throws JMSException {
        sendMany(sender, queue, 4);
        ActiveMQConnection connection = connect();
        Session session = auto(connection);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "0");
        consumer.close();
        MessageConsumer second = session.createConsumer(queue);
        expect(second, "1", "2", "3");
    }

    @Test
    void aLinkThatBreaksGivesBackWhatItsConsumersHeld() throws Exception {
        sendMany(sender, queue, 3);
        ActiveMQConnection connection = connect();
        expect(client(connection).createConsumer(queue), "0", "1");
        breakLink(connection);
        MessageConsumer next = session().createConsumer(queue);
        for (String text : List.of("0", "1")) {
            Message message = receive(next);
            assertEquals(text, text(message));
            assertTrue(message.getJMSRedelivered());
        }
        // Whether this one was seen, a broker that heard no farewell cannot know: it may mark it or not.
        expect(next, "2");
    }

    @Test
    void optimisedAcknowledgementsLoseNothing() throws JMSException {
        Session bulk = transacted(connect());
        sendMany(bulk, queue, 500);
        bulk.commit();
        ActiveMQConnection connection = connect("?jms.optimizeAcknowledge=true&jms.prefetchPolicy.all=50");
        MessageConsumer consumer = auto(connection).createConsumer(queue);
        expect(consumer, numbers(0, 480));
        connection.close();
        expectLeft(false, numbers(480, 500));
    }

    @Test
    void acknowledgementsOfTwoConsumersOfOneQueueDoNotMix() throws JMSException {
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=1");
        Session one = client(connection);
        Session two = client(connection);
        MessageConsumer first = one.createConsumer(queue);
        MessageConsumer second = two.createConsumer(queue);
        sendMany(sender, queue, 2);
        Message a = receive(first);
        Message b = receive(second);
        assertFalse(text(a).equals(text(b)));
        b.acknowledge();
        one.close();
        two.close();
        expectLeft(true, text(a));
    }

    @ParameterizedTest
    @ValueSource(ints = {Session.AUTO_ACKNOWLEDGE, Session.CLIENT_ACKNOWLEDGE, Session.DUPS_OK_ACKNOWLEDGE,
        ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE})
    void topicsAreAcknowledgedInEveryMode(int mode) throws JMSException {
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=5");
        Session session = connection.createSession(false, mode);
        MessageConsumer consumer = session.createConsumer(session.createTopic(name));
        sendMany(sender, sender.createTopic(name), 40);
        for (String text : numbers(0, 40)) {
            Message message = receive(consumer);
            assertEquals(text, text(message));
            message.acknowledge();
        }
        expectNothing(consumer);
    }
}
