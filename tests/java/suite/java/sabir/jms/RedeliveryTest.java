// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.RedeliveryPolicy;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Redelivery by the client's policy, and what becomes of messages that nobody can take. */
class RedeliveryTest extends JmsTest {
    private Session sender;
    private Queue queue;
    private MessageConsumer deadLetters;

    @BeforeEach
    void open() throws JMSException {
        sender = session();
        queue = sender.createQueue(name);
        // All tests share the queue of dead letters: each looks for its own.
        deadLetters = sender.createConsumer(sender.createQueue(DEAD_LETTERS), "test = '" + name + "'");
    }

    private Message sendMarked(String text, int deliveryMode, long timeToLive) throws JMSException {
        MessageProducer producer = sender.createProducer(queue);
        Message message = sender.createTextMessage(text);
        message.setStringProperty("test", name);
        message.setStringProperty("kept", "as it was");
        producer.send(message, deliveryMode, 4, timeToLive);
        return message;
    }

    private void sendMarked(String text) throws JMSException {
        sendMarked(text, DeliveryMode.PERSISTENT, 0);
    }

    private ActiveMQConnection connectWithPolicy(int redeliveries, long delayMs) throws JMSException {
        ActiveMQConnection connection = connect();
        RedeliveryPolicy policy = connection.getRedeliveryPolicy();
        policy.setMaximumRedeliveries(redeliveries);
        policy.setInitialRedeliveryDelay(delayMs);
        policy.setRedeliveryDelay(delayMs);
        return connection;
    }

    @Test
    void afterTheClientsPolicyAMessageIsADeadLetterWithCauseAndOrigin() throws JMSException {
        sendMarked("poison");
        Session session = transacted(connectWithPolicy(2, 1));
        MessageConsumer consumer = session.createConsumer(queue);
        for (int delivery = 1; delivery <= 3; delivery++) {
            Message message = receive(consumer);
            assertEquals(delivery, message.getIntProperty("JMSXDeliveryCount"));
            session.rollback();
        }
        ActiveMQMessage dead = (ActiveMQMessage) receive(deadLetters);
        assertEquals("poison", text(dead));
        assertEquals("as it was", dead.getStringProperty("kept"));
        assertEquals(queue, dead.getOriginalDestination());
        assertEquals(sender.createQueue(DEAD_LETTERS), dead.getJMSDestination());
        assertEquals(DeliveryMode.PERSISTENT, dead.getJMSDeliveryMode());
        String cause = dead.getStringProperty("dlqDeliveryFailureCause");
        assertTrue(cause.contains("redelivery policy limit") || cause.contains("RedeliveryPolicy"), cause);
        session.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void aDeadLetterKeepsItsIdAndHeaders() throws JMSException {
        MessageProducer producer = sender.createProducer(queue);
        Message sent = sender.createTextMessage("kept");
        sent.setStringProperty("test", name);
        sent.setJMSCorrelationID("correlation");
        sent.setJMSType("type");
        sent.setJMSReplyTo(sender.createQueue(name + ".replies"));
        producer.setPriority(4);
        producer.send(sent);
        Session session = transacted(connectWithPolicy(0, 1));
        MessageConsumer consumer = session.createConsumer(queue);
        receive(consumer);
        session.rollback();
        Message dead = receive(deadLetters);
        assertEquals(sent.getJMSMessageID(), dead.getJMSMessageID());
        assertEquals("correlation", dead.getJMSCorrelationID());
        assertEquals("type", dead.getJMSType());
        assertEquals(sent.getJMSReplyTo(), dead.getJMSReplyTo());
        assertEquals(sent.getJMSTimestamp(), dead.getJMSTimestamp());
    }

    @Test
    void aListenerThatKeepsThrowingLeadsToADeadLetterThatNamesTheException() throws Exception {
        sendMarked("thrown");
        ActiveMQConnection connection = connectWithPolicy(2, 1);
        BlockingQueue<Integer> counts = new LinkedBlockingQueue<>();
        auto(connection).createConsumer(queue).setMessageListener(message -> {
            try {
                counts.add(message.getIntProperty("JMSXDeliveryCount"));
            } catch (JMSException error) {
                counts.add(-1);
            }
            throw new IllegalStateException("the listener's own words");
        });
        Message dead = receive(deadLetters);
        assertEquals(List.of(1, 2, 3), List.copyOf(counts));
        String cause = dead.getStringProperty("dlqDeliveryFailureCause");
        assertTrue(cause.contains("the listener's own words"), cause);
    }

    @Test
    void othersGoOnWhileOneMessageIsPoisonous() throws JMSException {
        sendMarked("poison");
        sendMarked("good");
        Session session = transacted(connectWithPolicy(1, 1));
        MessageConsumer consumer = session.createConsumer(queue);
        for (int round = 0; round < 2; round++) {
            expect(consumer, "poison");
            session.rollback();
        }
        expect(consumer, "good");
        session.commit();
        expect(deadLetters, "poison");
        expectNothing(deadLetters);
    }

    @Test
    void theClientWaitsAsItsPolicySays() throws JMSException {
        sendMarked("later");
        Session session = transacted(connectWithPolicy(3, 400));
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "later");
        long start = System.nanoTime();
        session.rollback();
        expect(consumer, "later");
        assertTrue(System.nanoTime() - start >= TimeUnit.MILLISECONDS.toNanos(390), "it came too early");
        session.commit();
    }

    @Test
    void countsGoOnWithTheNextConsumer() throws JMSException {
        sendMarked("handed on");
        for (int delivery = 1; delivery <= 4; delivery++) {
            ActiveMQConnection connection = connectWithPolicy(10, 1);
            MessageConsumer consumer = client(connection).createConsumer(queue);
            assertEquals(delivery, receive(consumer).getIntProperty("JMSXDeliveryCount"));
            connection.close();
        }
        assertEquals(List.of("handed on"), drain(queue));
    }

    @Test
    void whatWasDeliveredOftenEnoughIsADeadLetterForTheNextConsumerToo() throws JMSException {
        sendMarked("worn");
        for (int delivery = 1; delivery <= 3; delivery++) {
            ActiveMQConnection connection = connectWithPolicy(2, 1);
            MessageConsumer consumer = transacted(connection).createConsumer(queue);
            receive(consumer);
            connection.close();
        }
        MessageConsumer fourth = transacted(connectWithPolicy(2, 1)).createConsumer(queue);
        expectNothing(fourth);
        expect(deadLetters, "worn");
    }

    @Test
    void noLimitIsNoLimit() throws JMSException {
        sendMarked("patient");
        Session session = transacted(connectWithPolicy(RedeliveryPolicy.NO_MAXIMUM_REDELIVERIES, 0));
        MessageConsumer consumer = session.createConsumer(queue);
        for (int delivery = 1; delivery <= 20; delivery++) {
            assertEquals(delivery, receive(consumer).getIntProperty("JMSXDeliveryCount"));
            session.rollback();
        }
        expect(consumer, "patient");
        session.commit();
    }

    @Test
    void aPersistentMessageThatExpiresIsADeadLetter() throws JMSException {
        outlive(sendMarked("expired", DeliveryMode.PERSISTENT, 1));
        assertEquals(List.of(), drain(queue));
        ActiveMQMessage dead = (ActiveMQMessage) receive(deadLetters);
        assertEquals("expired", text(dead));
        assertEquals(0, dead.getJMSExpiration());
        assertEquals(queue, dead.getOriginalDestination());
    }

    @Test
    void aMessageThatIsNotPersistentIsNoDeadLetter() throws JMSException {
        outlive(sendMarked("expired", DeliveryMode.NON_PERSISTENT, 1));
        assertEquals(List.of(), drain(queue));
        sendMarked("poison", DeliveryMode.NON_PERSISTENT, 0);
        Session session = transacted(connectWithPolicy(0, 1));
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "poison");
        session.rollback();
        expectNothing(consumer);
        expectNothing(deadLetters);
    }

    @Test
    void deadLettersCanBeConsumedLikeOthers() throws JMSException {
        sendMarked("twice");
        Session session = transacted(connectWithPolicy(0, 1));
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "twice");
        session.rollback();
        Message dead = receive(deadLetters);
        assertEquals("twice", text(dead));
        expectNothing(deadLetters);
        assertNull(dead.getJMSReplyTo());
    }

    @Test
    void aDurableSubscriptionsPoisonIsADeadLetter() throws JMSException {
        ActiveMQConnection connection = connectAs(name);
        connection.getRedeliveryPolicy().setMaximumRedeliveries(0);
        Session session = transacted(connection);
        MessageConsumer subscriber = session.createDurableSubscriber(session.createTopic(name), "sub");
        Message message = sender.createTextMessage("from a topic");
        message.setStringProperty("test", name);
        sender.createProducer(sender.createTopic(name)).send(message);
        expect(subscriber, "from a topic");
        session.rollback();
        ActiveMQMessage dead = (ActiveMQMessage) receive(deadLetters);
        assertEquals("from a topic", text(dead));
        assertEquals(sender.createTopic(name), dead.getOriginalDestination());
    }
}
