// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTextMessage;
import org.apache.activemq.command.BaseCommand;
import org.apache.activemq.command.ConnectionId;
import org.apache.activemq.command.ConnectionInfo;
import org.apache.activemq.command.ConsumerId;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.DataArrayResponse;
import org.apache.activemq.command.ExceptionResponse;
import org.apache.activemq.command.KeepAliveInfo;
import org.apache.activemq.command.LocalTransactionId;
import org.apache.activemq.command.MessageAck;
import org.apache.activemq.command.MessageDispatch;
import org.apache.activemq.command.MessageId;
import org.apache.activemq.command.MessagePull;
import org.apache.activemq.command.ProducerAck;
import org.apache.activemq.command.ProducerId;
import org.apache.activemq.command.ProducerInfo;
import org.apache.activemq.command.RemoveInfo;
import org.apache.activemq.command.Response;
import org.apache.activemq.command.SessionId;
import org.apache.activemq.command.SessionInfo;
import org.apache.activemq.command.TransactionInfo;
import org.apache.activemq.transport.DefaultTransportListener;
import org.apache.activemq.transport.Transport;
import org.apache.activemq.transport.TransportFactory;
import org.apache.activemq.transport.tcp.TcpTransport;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Commands as clients send them, one by one, also in ways that the Java client's sessions do not. */
class CommandsTest extends JmsTest {
    private ActiveMQQueue queue;
    private Session sender;

    @BeforeEach
    void open() throws JMSException {
        sender = session();
        queue = new ActiveMQQueue(name);
    }

    /** A link with a connection and a session on it, and all that comes unasked. */
    private final class Raw implements AutoCloseable {
        final BlockingQueue<MessageDispatch> dispatches = new LinkedBlockingQueue<>();
        final BlockingQueue<ProducerAck> producerAcks = new LinkedBlockingQueue<>();
        final CountDownLatch ended = new CountDownLatch(1);
        final ConnectionInfo connection;
        final SessionId session;
        final Transport transport;
        private long consumers;

        Raw(String connectionId, boolean reconnects) throws Exception {
            transport = TransportFactory.connect(new URI(brokerUri()));
            transport.setTransportListener(new DefaultTransportListener() {
                @Override
                public void onCommand(Object command) {
                    if (command instanceof MessageDispatch dispatch) {
                        dispatches.add(dispatch);
                    } else if (command instanceof ProducerAck ack) {
                        producerAcks.add(ack);
                    }
                }

                @Override
                public void onException(java.io.IOException error) {
                    ended.countDown();
                }
            });
            transport.start();
            connection = new ConnectionInfo(new ConnectionId(connectionId));
            connection.setClientId(connectionId);
            connection.setFailoverReconnect(reconnects);
            connection.setFaultTolerant(reconnects);
            accepted(connection);
            session = new SessionId(connection.getConnectionId(), 1);
            accepted(new SessionInfo(session));
        }

        Raw() throws Exception {
            this("ID:raw-" + name, false);
        }

        Response request(BaseCommand command) throws Exception {
            return (Response) transport.request(command, (int) PATIENCE_MS);
        }

        void accepted(BaseCommand command) throws Exception {
            Response response = request(command);
            assertFalse(response.isException(), () -> ((ExceptionResponse) response).getException().toString());
        }

        ConsumerInfo consume(int prefetch) throws Exception {
            ConsumerInfo consumer = new ConsumerInfo(new ConsumerId(session, ++consumers));
            consumer.setDestination(queue);
            consumer.setPrefetchSize(prefetch);
            accepted(consumer);
            return consumer;
        }

        List<MessageDispatch> receive(int count) throws Exception {
            List<MessageDispatch> received = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                received.add(next(dispatches));
            }
            return received;
        }

        void expectNoDispatch() throws Exception {
            assertNull(dispatches.poll(ABSENCE_MS, TimeUnit.MILLISECONDS));
        }

        /** Acknowledges from one to another, both included; from nowhere: from the start. */
        void acknowledge(byte type, MessageDispatch first, MessageDispatch last, int count) throws Exception {
            accepted(ack(type, first, last, count));
        }

        MessageAck ack(byte type, MessageDispatch first, MessageDispatch last, int count) {
            MessageAck ack = new MessageAck(last, type, count);
            ack.setFirstMessageId(first == null ? null : first.getMessage().getMessageId());
            return ack;
        }

        @Override
        public void close() throws Exception {
            transport.stop();
        }
    }

    private Raw raw() throws Exception {
        return closing(new Raw());
    }

    private List<String> left(Raw raw) throws Exception {
        raw.accepted(new RemoveInfo(raw.connection.getConnectionId()));
        return drain(queue);
    }

    @Test
    void aStandardAcknowledgementCoversItsRangeAlone() throws Exception {
        sendMany(sender, queue, 5);
        Raw raw = raw();
        raw.consume(10);
        List<MessageDispatch> messages = raw.receive(5);
        raw.acknowledge(MessageAck.STANDARD_ACK_TYPE, messages.get(1), messages.get(3), 3);
        assertEquals(List.of("0", "4"), left(raw));
    }

    @Test
    void aStandardAcknowledgementWithoutAFirstOneCoversAllSoFar() throws Exception {
        sendMany(sender, queue, 5);
        Raw raw = raw();
        raw.consume(10);
        List<MessageDispatch> messages = raw.receive(5);
        raw.acknowledge(MessageAck.STANDARD_ACK_TYPE, null, messages.get(2), 3);
        assertEquals(List.of("3", "4"), left(raw));
    }

    @Test
    void anIndividualAcknowledgementCoversOne() throws Exception {
        sendMany(sender, queue, 3);
        Raw raw = raw();
        raw.consume(10);
        List<MessageDispatch> messages = raw.receive(3);
        raw.acknowledge(MessageAck.INDIVIDUAL_ACK_TYPE, null, messages.get(1), 1);
        assertEquals(List.of("0", "2"), left(raw));
    }

    @Test
    void aDeliveredAcknowledgementMakesRoomAndConsumesNothing() throws Exception {
        sendMany(sender, queue, 6);
        Raw raw = raw();
        raw.consume(2);
        List<MessageDispatch> messages = raw.receive(2);
        raw.expectNoDispatch();
        raw.acknowledge(MessageAck.DELIVERED_ACK_TYPE, messages.get(0), messages.get(1), 2);
        messages = raw.receive(2);
        raw.expectNoDispatch();
        // What was called delivered gives its room but once.
        raw.acknowledge(MessageAck.STANDARD_ACK_TYPE, null, messages.get(1), 4);
        raw.receive(2);
        assertEquals(List.of("4", "5"), left(raw));
    }

    @Test
    void aPoisonAcknowledgementMakesADeadLetterWithItsCause() throws Exception {
        MessageConsumer deadLetters = sender.createConsumer(sender.createQueue(DEAD_LETTERS), "test = '" + name + "'");
        Message poison = sender.createTextMessage("poison");
        poison.setStringProperty("test", name);
        sender.createProducer(queue).send(poison);
        Raw raw = raw();
        raw.consume(10);
        MessageDispatch dispatch = next(raw.dispatches);
        MessageAck ack = raw.ack(MessageAck.POISON_ACK_TYPE, dispatch, dispatch, 1);
        ack.setPoisonCause(new IllegalStateException("outer", new RuntimeException("inner")));
        raw.accepted(ack);
        Message dead = receive(deadLetters);
        assertTrue(dead.getStringProperty("dlqDeliveryFailureCause").contains("outer"));
        assertEquals(List.of(), left(raw));
    }

    @Test
    void anAcknowledgementOfTheExpiredEndsIt() throws Exception {
        MessageProducer producer = sender.createProducer(queue);
        producer.setTimeToLive(200);
        Message sent = sender.createTextMessage("expires");
        Raw raw = raw();
        raw.consume(10);
        producer.send(sent);
        MessageDispatch dispatch = next(raw.dispatches);
        outlive(sent);
        raw.acknowledge(MessageAck.EXPIRED_ACK_TYPE, dispatch, dispatch, 1);
        assertEquals(List.of(), left(raw));
    }

    @Test
    void aRedeliveredAcknowledgementChangesNothing() throws Exception {
        sendMany(sender, queue, 2);
        Raw raw = raw();
        raw.consume(10);
        List<MessageDispatch> messages = raw.receive(2);
        raw.acknowledge(MessageAck.REDELIVERED_ACK_TYPE, messages.get(0), messages.get(0), 1);
        raw.expectNoDispatch();
        raw.acknowledge(MessageAck.STANDARD_ACK_TYPE, null, messages.get(0), 1);
        assertEquals(List.of("1"), left(raw));
    }

    @Test
    void anAcknowledgementOfWhatWasNeverDispatchedIsTolerated() throws Exception {
        sendMany(sender, queue, 2);
        Raw raw = raw();
        raw.consume(10);
        List<MessageDispatch> messages = raw.receive(2);
        MessageAck ack = raw.ack(MessageAck.STANDARD_ACK_TYPE, null, messages.get(0), 1);
        ack.setLastMessageId(new MessageId("ID:nobody-1-1:1:1:1:99"));
        raw.transport.oneway(ack);
        raw.acknowledge(MessageAck.STANDARD_ACK_TYPE, null, messages.get(0), 1);
        assertEquals(List.of("1"), left(raw));
    }

    @Test
    void aConsumerThatLeavesTellsWhatItHasSeen() throws Exception {
        sendMany(sender, queue, 3);
        Raw raw = raw();
        ConsumerInfo consumer = raw.consume(10);
        List<MessageDispatch> messages = raw.receive(3);
        RemoveInfo leave = new RemoveInfo(consumer.getConsumerId());
        leave.setLastDeliveredSequenceId(messages.get(1).getMessage().getMessageId().getBrokerSequenceId());
        raw.accepted(leave);
        raw.consume(10);
        messages = raw.receive(3);
        for (int number = 0; number < 3; number++) {
            MessageDispatch dispatch = messages.get(number);
            assertEquals(Integer.toString(number), ((ActiveMQTextMessage) dispatch.getMessage()).getText());
            assertEquals(number < 2 ? 1 : 0, dispatch.getRedeliveryCounter());
        }
    }

    /** A consumer that pulls, and its question: -1 asks what is there, 0 waits, and more waits so many milliseconds. */
    private void pull(Raw raw, long timeoutMs) throws Exception {
        MessagePull pull = new MessagePull();
        pull.setConsumerId(raw.consume(0).getConsumerId());
        pull.setDestination(queue);
        pull.setTimeout(timeoutMs);
        raw.accepted(pull);
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 50})
    void pullingFromAnEmptyQueueIsAnsweredWithNothing(long timeoutMs) throws Exception {
        Raw raw = raw();
        pull(raw, timeoutMs);
        assertNull(next(raw.dispatches).getMessage());
        send(sender, queue, "for the next question");
        raw.expectNoDispatch();
        assertEquals(List.of("for the next question"), left(raw));
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 0, 20_000})
    void pullingIsAnsweredWithOneMessage(long timeoutMs) throws Exception {
        send(sender, queue, "pulled", "left");
        Raw raw = raw();
        pull(raw, timeoutMs);
        assertEquals("pulled", ((ActiveMQTextMessage) next(raw.dispatches).getMessage()).getText());
        raw.expectNoDispatch();
        assertEquals(List.of("pulled", "left"), left(raw));
    }

    @Test
    void pullingWithoutATimeoutWaits() throws Exception {
        Raw raw = raw();
        pull(raw, 0);
        raw.expectNoDispatch();
        send(sender, queue, "at last");
        assertNotNull(next(raw.dispatches).getMessage());
        assertEquals(List.of("at last"), left(raw));
    }

    @Test
    void whatIsSentInsideAWindowIsAcknowledgedWithItsSize() throws Exception {
        Raw raw = raw();
        ProducerInfo producer = new ProducerInfo(new ProducerId(raw.session, 1));
        producer.setDestination(queue);
        producer.setWindowSize(1000);
        raw.accepted(producer);
        ActiveMQTextMessage message = message(producer, 1, "windowed");
        raw.transport.oneway(message);
        ProducerAck ack = next(raw.producerAcks);
        assertEquals(producer.getProducerId(), ack.getProducerId());
        assertTrue(ack.getSize() > 0);
        assertEquals(List.of("windowed"), left(raw));
    }

    private ActiveMQTextMessage message(ProducerInfo producer, long sequence, String text) throws JMSException {
        ActiveMQTextMessage message = new ActiveMQTextMessage();
        message.setProducerId(producer.getProducerId());
        message.setMessageId(new MessageId(producer, sequence));
        message.setDestination(queue);
        message.setPersistent(true);
        message.setText(text);
        message.onSend();
        return message;
    }

    @Test
    void aReconnectedProducersMessageIsTakenOnce() throws Exception {
        ProducerInfo producer;
        try (Raw first = new Raw("ID:raw-" + name, false)) {
            producer = new ProducerInfo(new ProducerId(first.session, 1));
            producer.setDestination(queue);
            first.accepted(producer);
            first.accepted(message(producer, 1, "one"));
            first.accepted(message(producer, 2, "two"));
        }
        Raw second = closing(new Raw("ID:raw-" + name, true));
        second.accepted(producer);
        second.accepted(message(producer, 2, "two"));
        second.accepted(message(producer, 3, "three"));
        assertEquals(List.of("one", "two", "three"), left(second));
    }

    @Test
    void theLastLinkOfAConnectionWins() throws Exception {
        sendMany(sender, queue, 1);
        Raw old = raw();
        old.consume(10);
        old.receive(1);
        Raw again = closing(new Raw("ID:raw-" + name, true));
        assertTrue(old.ended.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "the old link is cut");
        again.consume(10);
        assertEquals(1, again.receive(1).size());
    }

    @Test
    void transactionsBeginCommitAndRollBack() throws Exception {
        Raw raw = raw();
        ProducerInfo producer = new ProducerInfo(new ProducerId(raw.session, 1));
        raw.accepted(producer);
        for (int number = 1; number <= 2; number++) {
            LocalTransactionId id = new LocalTransactionId(raw.connection.getConnectionId(), number);
            raw.accepted(transaction(raw, id, TransactionInfo.BEGIN));
            ActiveMQTextMessage message = message(producer, number, "in " + number);
            message.setTransactionId(id);
            raw.accepted(message);
            raw.accepted(transaction(raw, id,
                    number == 1 ? TransactionInfo.ROLLBACK : TransactionInfo.COMMIT_ONE_PHASE));
        }
        assertEquals(List.of("in 2"), left(raw));
    }

    private static TransactionInfo transaction(Raw raw, LocalTransactionId id, byte type) {
        return new TransactionInfo(raw.connection.getConnectionId(), id, type);
    }

    @Test
    void aTransactionThatIsNotOpenCannotBeCommitted() throws Exception {
        Raw raw = raw();
        LocalTransactionId id = new LocalTransactionId(raw.connection.getConnectionId(), 77);
        assertTrue(raw.request(transaction(raw, id, TransactionInfo.COMMIT_ONE_PHASE)).isException());
        // The link goes on.
        raw.consume(1);
    }

    @Test
    void noTransactionsWaitToBeRecovered() throws Exception {
        Raw raw = raw();
        TransactionInfo recover = new TransactionInfo(raw.connection.getConnectionId(), null, TransactionInfo.RECOVER);
        DataArrayResponse response = assertInstanceOf(DataArrayResponse.class, raw.request(recover));
        assertEquals(0, response.getData() == null ? 0 : response.getData().length);
    }

    @ParameterizedTest
    @ValueSource(strings = {"consumer", "producer"})
    void whatBelongsToNoSessionIsRefused(String what) throws Exception {
        Raw raw = raw();
        SessionId nowhere = new SessionId(raw.connection.getConnectionId(), 99);
        ConsumerInfo consumer = new ConsumerInfo(new ConsumerId(nowhere, 1));
        consumer.setDestination(queue);
        consumer.setPrefetchSize(1);
        BaseCommand orphan = what.equals("consumer") ? consumer : new ProducerInfo(new ProducerId(nowhere, 1));
        assertTrue(raw.request(orphan).isException());
        raw.consume(1);
    }

    @Test
    void whoAsksWhetherTheBrokerLivesIsAnswered() throws Exception {
        // Without the client's own monitor, which would keep the answer to itself.
        String options = "?useInactivityMonitor=false&wireFormat.maxInactivityDuration=0";
        Transport transport = TransportFactory.connect(new URI(brokerUri() + options));
        BlockingQueue<KeepAliveInfo> answers = new LinkedBlockingQueue<>();
        transport.setTransportListener(new DefaultTransportListener() {
            @Override
            public void onCommand(Object command) {
                if (command instanceof KeepAliveInfo answer) {
                    answers.add(answer);
                }
            }
        });
        transport.start();
        closing((AutoCloseable) transport::stop);
        transport.request(new ConnectionInfo(new ConnectionId("ID:raw-" + name)), (int) PATIENCE_MS);
        KeepAliveInfo question = new KeepAliveInfo();
        question.setResponseRequired(true);
        // Past what numbers commands, and would say that no answer is wanted.
        transport.narrow(TcpTransport.class).oneway(question);
        assertFalse(next(answers).isResponseRequired());
    }

    @Test
    void aDestinationIsTheSameWhateverOptionsItWasNamedWith() throws Exception {
        send(sender, queue, "plain");
        Raw raw = raw();
        raw.consume(1);
        ActiveMQDestination seen = next(raw.dispatches).getDestination();
        assertEquals(queue, seen);
    }
}
