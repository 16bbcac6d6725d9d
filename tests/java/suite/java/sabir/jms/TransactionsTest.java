// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Local transactions: all of it or nothing, and nothing before it is told. */
class TransactionsTest extends JmsTest {
    private static final String SOON = "?jms.redeliveryPolicy.initialRedeliveryDelay=1";

    private Session outside;
    private ActiveMQConnection connection;
    private Session session;
    private Queue queue;

    @BeforeEach
    void open() throws JMSException {
        outside = session();
        connection = connect(SOON);
        session = transacted(connection);
        queue = session.createQueue(name);
    }

    @Test
    void nothingIsSeenBeforeTheCommit() throws JMSException {
        MessageConsumer consumer = outside.createConsumer(queue);
        sendMany(session, queue, 3);
        expectNothing(consumer);
        session.commit();
        expect(consumer, "0", "1", "2");
    }

    @ParameterizedTest
    @ValueSource(ints = {DeliveryMode.PERSISTENT, DeliveryMode.NON_PERSISTENT})
    void rollbackDestroysWhatWasProduced(int mode) throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        producer.setDeliveryMode(mode);
        producer.send(session.createTextMessage("never"));
        session.rollback();
        producer.send(session.createTextMessage("after"));
        session.commit();
        assertEquals(List.of("after"), drain(queue));
    }

    @Test
    void rollbackReturnsWhatWasConsumed() throws JMSException {
        sendMany(outside, queue, 3);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "0", "1");
        session.rollback();
        for (String text : List.of("0", "1")) {
            Message message = receive(consumer);
            assertEquals(text, text(message));
            assertTrue(message.getJMSRedelivered());
            assertEquals(2, message.getIntProperty("JMSXDeliveryCount"));
        }
        Message third = receive(consumer);
        assertEquals("2", text(third));
        assertFalse(third.getJMSRedelivered());
        session.commit();
        connection.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void whatWasConsumedIsHeldUntilTheCommit() throws JMSException {
        sendMany(outside, queue, 2);
        expect(session.createConsumer(queue), "0", "1");
        expectNothing(outside.createConsumer(queue));
        session.commit();
        connection.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void aTransactionThatIsNotCommittedWhenTheConnectionClosesIsRolledBack() throws JMSException {
        sendMany(outside, queue, 2);
        Queue other = session.createQueue(name + ".other");
        expect(session.createConsumer(queue), "0", "1");
        send(session, other, "never");
        connection.close();
        assertEquals(List.of("0", "1"), drain(queue));
        assertEquals(List.of(), drain(other));
    }

    @Test
    void aTransactionWhoseLinkBreaksIsRolledBack() throws Exception {
        sendMany(outside, queue, 2);
        Queue other = session.createQueue(name + ".other");
        expect(session.createConsumer(queue), "0");
        send(session, other, "never");
        breakLink(connection);
        expect(outside.createConsumer(queue), "0", "1");
        assertEquals(List.of(), drain(other));
    }

    @Test
    void consumingAndProducingCommitTogether() throws JMSException {
        Queue other = session.createQueue(name + ".other");
        Topic topic = session.createTopic(name);
        MessageConsumer onTopic = outside.createConsumer(topic);
        sendMany(outside, queue, 2);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "0");
        send(session, other, "forwarded");
        send(session, topic, "told");
        session.rollback();
        expect(consumer, "0");
        send(session, other, "forwarded again");
        send(session, topic, "told again");
        session.commit();
        connection.close();
        assertEquals(List.of("1"), drain(queue));
        assertEquals(List.of("forwarded again"), drain(other));
        expect(onTopic, "told again");
        expectNothing(onTopic);
    }

    @Test
    void whatExpiredMeanwhileDoesNotComeBack() throws JMSException {
        MessageProducer producer = outside.createProducer(queue);
        producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        producer.setTimeToLive(300);
        Message sent = outside.createTextMessage("short-lived");
        producer.send(sent);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "short-lived");
        // The wait is for its end, which only the clock brings.
        expectNothingUntil(consumer, sent.getJMSExpiration());
        session.rollback();
        connection.close();
        assertEquals(List.of(), drain(queue));
    }

    private static void expectNothingUntil(MessageConsumer consumer, long time) throws JMSException {
        while (System.currentTimeMillis() <= time) {
            expectNothing(consumer);
        }
    }

    @Test
    void twoSessionsOfAConnectionHaveTransactionsOfTheirOwn() throws JMSException {
        Session second = transacted(connection);
        send(session, queue, "rolled back");
        send(second, queue, "committed");
        session.rollback();
        second.commit();
        assertEquals(List.of("committed"), drain(queue));
    }

    @Test
    void orderIsKeptThroughATransaction() throws JMSException {
        sendMany(session, queue, 700);
        session.commit();
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, numbers(0, 700));
        session.commit();
        connection.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void manyConsumersOfOneSessionRollBackTogether() throws JMSException {
        Queue other = session.createQueue(name + ".other");
        send(outside, queue, "a");
        send(outside, other, "b");
        MessageConsumer first = session.createConsumer(queue);
        MessageConsumer second = session.createConsumer(other);
        expect(first, "a");
        expect(second, "b");
        session.rollback();
        expect(first, "a");
        expect(second, "b");
        session.commit();
        connection.close();
        assertEquals(List.of(), drain(queue));
        assertEquals(List.of(), drain(other));
    }

    @Test
    void aConsumerThatIsClosedBeforeTheCommitHasConsumed() throws JMSException {
        sendMany(outside, queue, 3);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "0", "1");
        consumer.close();
        session.commit();
        connection.close();
        assertEquals(List.of("2"), drain(queue));
    }

    @Test
    void aConsumerThatIsClosedBeforeTheRollbackGivesBack() throws JMSException {
        sendMany(outside, queue, 3);
        MessageConsumer consumer = session.createConsumer(queue);
        expect(consumer, "0", "1");
        consumer.close();
        session.rollback();
        connection.close();
        assertEquals(List.of("0", "1", "2"), drain(queue));
    }

    @Test
    void aListenerThatThrowsRollsNothingBackByItselfAndSeesTheMessageAgainAfterRollback() throws Exception {
        send(outside, queue, "again");
        BlockingQueue<Boolean> seen = new LinkedBlockingQueue<>();
        session.createConsumer(queue).setMessageListener(message -> {
            try {
                boolean redelivered = message.getJMSRedelivered();
                if (redelivered) {
                    session.commit();
                } else {
                    session.rollback();
                }
                seen.add(redelivered);
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        assertFalse(next(seen));
        assertTrue(next(seen));
        connection.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void aPrefetchOfOneDoesNotHoldUpATransactionOfTen() throws JMSException {
        sendMany(outside, queue, 10);
        Session narrow = transacted(connect("?jms.prefetchPolicy.all=1"));
        expect(narrow.createConsumer(queue), numbers(0, 10));
        narrow.commit();
        narrow.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void emptyTransactionsCommitAndRollBack() throws JMSException {
        session.commit();
        session.rollback();
        session.commit();
        sendMany(session, queue, 1);
        session.commit();
        assertEquals(List.of("0"), drain(queue));
    }

    @Test
    void aDurableSubscriptionConsumesInATransaction() throws JMSException {
        ActiveMQConnection owner = connectAs(name);
        Session durable = transacted(owner);
        Topic topic = durable.createTopic(name);
        MessageConsumer subscriber = durable.createDurableSubscriber(topic, "sub");
        sendMany(outside, topic, 2);
        expect(subscriber, "0", "1");
        durable.rollback();
        owner.close();
        ActiveMQConnection again = connectAs(name);
        Session second = transacted(again);
        MessageConsumer back = second.createDurableSubscriber(topic, "sub");
        expect(back, "0", "1");
        second.commit();
        back.close();
        expectNothing(second.createDurableSubscriber(topic, "sub"));
        again.close();
    }
}
