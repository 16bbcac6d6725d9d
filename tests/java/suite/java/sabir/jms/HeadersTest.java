// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.jms.DeliveryMode;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Headers and properties of messages. */
class HeadersTest extends JmsTest {
    private Session session;
    private Queue queue;
    private MessageProducer producer;
    private MessageConsumer consumer;

    @BeforeEach
    void open() throws JMSException {
        open("");
    }

    private void open(String options) throws JMSException {
        session = auto(connect(options));
        queue = session.createQueue(name);
        producer = session.createProducer(queue);
        consumer = session.createConsumer(queue);
    }

    private Message pass(Message message) throws JMSException {
        producer.send(message);
        return receive(consumer);
    }

    @Test
    void theReceiverSeesTheHeadersThatTheSenderSet() throws JMSException {
        Message sent = session.createMessage();
        Destination replies = session.createTopic(name + ".replies");
        sent.setJMSCorrelationID("correlation ü");
        sent.setJMSReplyTo(replies);
        sent.setJMSType("type");
        long before = System.currentTimeMillis();
        producer.send(sent, DeliveryMode.NON_PERSISTENT, 7, 60_000);
        long after = System.currentTimeMillis();
        Message received = receive(consumer);
        assertEquals(sent.getJMSMessageID(), received.getJMSMessageID());
        assertTrue(received.getJMSMessageID().startsWith("ID:"));
        assertEquals(queue, received.getJMSDestination());
        assertEquals("correlation ü", received.getJMSCorrelationID());
        assertEquals(replies, received.getJMSReplyTo());
        assertEquals("type", received.getJMSType());
        assertEquals(DeliveryMode.NON_PERSISTENT, received.getJMSDeliveryMode());
        assertEquals(7, received.getJMSPriority());
        assertEquals(sent.getJMSTimestamp(), received.getJMSTimestamp());
        assertTrue(before <= received.getJMSTimestamp() && received.getJMSTimestamp() <= after);
        assertEquals(received.getJMSTimestamp() + 60_000, received.getJMSExpiration());
        assertFalse(received.getJMSRedelivered());
        assertEquals(1, received.getIntProperty("JMSXDeliveryCount"));
    }

    @Test
    void headersThatWereNotSetAreNotThere() throws JMSException {
        Message received = pass(session.createMessage());
        assertNull(received.getJMSCorrelationID());
        assertNull(received.getJMSReplyTo());
        assertNull(received.getJMSType());
        assertEquals(0, received.getJMSExpiration());
        assertEquals(Message.DEFAULT_PRIORITY, received.getJMSPriority());
        assertEquals(DeliveryMode.PERSISTENT, received.getJMSDeliveryMode());
        assertNull(received.getStringProperty("JMSXGroupID"));
        assertNull(received.getStringProperty("JMSXUserID"));
        assertEquals(Set.of(), names(received));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
    void everyPriorityIsKept(int priority) throws JMSException {
        producer.setPriority(priority);
        assertEquals(priority, pass(session.createMessage()).getJMSPriority());
    }

    @Test
    void aCorrelationIdMayBeBytes() throws JMSException {
        Message sent = session.createMessage();
        byte[] bytes = "bytes".getBytes(StandardCharsets.UTF_8);
        sent.setJMSCorrelationIDAsBytes(bytes);
        assertArrayEquals(bytes, pass(sent).getJMSCorrelationIDAsBytes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"queue://", "topic://", "temp-queue", "temp-topic"})
    void aReplyAddressIsOfTheKindThatItWas(String kind) throws JMSException {
        Destination replies = switch (kind) {
            case "queue://" -> session.createQueue(name + ".r");
            case "topic://" -> session.createTopic(name + ".r");
            case "temp-queue" -> session.createTemporaryQueue();
            default -> session.createTemporaryTopic();
        };
        Message sent = session.createMessage();
        sent.setJMSReplyTo(replies);
        assertEquals(replies, pass(sent).getJMSReplyTo());
    }

    @Test
    void propertiesKeepTheirTypes() throws JMSException {
        Message sent = session.createMessage();
        sent.setBooleanProperty("boolean", true);
        sent.setByteProperty("byte", (byte) -1);
        sent.setShortProperty("short", Short.MAX_VALUE);
        sent.setIntProperty("int", Integer.MIN_VALUE);
        sent.setLongProperty("long", Long.MAX_VALUE);
        sent.setFloatProperty("float", 1.25f);
        sent.setDoubleProperty("double", -0.0);
        sent.setStringProperty("string", "ä€漢\uFFFF");
        sent.setStringProperty("empty", "");
        sent.setStringProperty("long text", "z".repeat(50_000));
        sent.setObjectProperty("null", null);
        sent.setObjectProperty("list", List.of(1, "two", List.of(3L)));
        sent.setObjectProperty("map", Map.of("key", Map.of("inner", 2.5)));
        Message received = pass(sent);
        assertEquals(true, received.getObjectProperty("boolean"));
        assertEquals((byte) -1, received.getObjectProperty("byte"));
        assertEquals(Short.MAX_VALUE, received.getObjectProperty("short"));
        assertEquals(Integer.MIN_VALUE, received.getObjectProperty("int"));
        assertEquals(Long.MAX_VALUE, received.getObjectProperty("long"));
        assertEquals(1.25f, received.getObjectProperty("float"));
        assertEquals(-0.0, received.getObjectProperty("double"));
        assertEquals("ä€漢\uFFFF", received.getObjectProperty("string"));
        assertEquals("", received.getObjectProperty("empty"));
        assertEquals(50_000, received.getStringProperty("long text").length());
        assertTrue(received.propertyExists("null"));
        assertNull(received.getObjectProperty("null"));
        // As text, because the newer client leaves nested texts as it read them, in a type of its own.
        assertEquals("[1, two, [3]]", received.getObjectProperty("list").toString());
        assertEquals("{key={inner=2.5}}", received.getObjectProperty("map").toString());
        assertEquals(13, names(received).size());
    }

    /** The names of properties, without those that the newer client counts among them: JMSXDeliveryCount and others. */
    private static Set<String> names(Message message) throws JMSException {
        Set<String> names = new HashSet<>();
        for (Object name : Collections.list((java.util.Enumeration<?>) message.getPropertyNames())) {
            if (!name.toString().startsWith("JMSX")) {
                names.add(name.toString());
            }
        }
        return names;
    }

    @Test
    void propertiesConvertAsJmsSays() throws JMSException {
        Message sent = session.createMessage();
        sent.setStringProperty("number", "42");
        sent.setIntProperty("int", 7);
        Message received = pass(sent);
        assertEquals(42, received.getIntProperty("number"));
        assertEquals("7", received.getStringProperty("int"));
        assertEquals(7L, received.getLongProperty("int"));
    }

    @Test
    void aThousandPropertiesCome() throws JMSException {
        Message sent = session.createMessage();
        for (int number = 0; number < 1000; number++) {
            sent.setIntProperty("property" + number, number);
        }
        Message received = pass(sent);
        for (int number = 0; number < 1000; number++) {
            assertEquals(number, received.getIntProperty("property" + number));
        }
    }

    @Test
    void groupAndItsPositionAreHeadersWithPropertyNames() throws JMSException {
        Message sent = session.createMessage();
        sent.setStringProperty("JMSXGroupID", "group ü");
        sent.setIntProperty("JMSXGroupSeq", 3);
        ActiveMQMessage received = (ActiveMQMessage) pass(sent);
        assertEquals("group ü", received.getStringProperty("JMSXGroupID"));
        assertEquals(3, received.getIntProperty("JMSXGroupSeq"));
        assertEquals("group ü", received.getGroupID());
        assertEquals(3, received.getGroupSequence());
    }

    @Test
    void whatWasReceivedCanBeSentOnWithANewId() throws JMSException {
        Message sent = session.createTextMessage("on");
        sent.setStringProperty("kept", "yes");
        Message first = pass(sent);
        String id = first.getJMSMessageID();
        Message second = pass(first);
        assertNotEquals(id, second.getJMSMessageID());
        assertEquals("yes", second.getStringProperty("kept"));
        assertEquals("on", text(second));
    }

    @Test
    void aProducerWithoutADestinationNamesOneForEachMessage() throws JMSException {
        MessageProducer anonymous = session.createProducer(null);
        for (int number = 0; number < 20; number++) {
            Queue each = session.createQueue(name + "." + number);
            anonymous.send(each, session.createTextMessage("to " + number));
            MessageConsumer receiver = session.createConsumer(each);
            Message received = receive(receiver);
            assertEquals("to " + number, text(received));
            assertEquals(each, received.getJMSDestination());
            receiver.close();
        }
    }

    @Test
    void timestampsCanBeLeftOut() throws JMSException {
        producer.setDisableMessageTimestamp(true);
        assertEquals(0, pass(session.createMessage()).getJMSTimestamp());
    }

    @Test
    void theTransactionThatSentItCanBeNamed() throws JMSException {
        Session sender = transacted(connect());
        Message sent = sender.createMessage();
        sender.createProducer(queue).send(sent);
        sender.commit();
        assertNotNull(receive(consumer).getStringProperty("JMSXProducerTXID"));
    }

    @Test
    void idsOfOneProducerAreCountedUp() throws JMSException {
        ActiveMQMessage first = (ActiveMQMessage) pass(session.createMessage());
        ActiveMQMessage second = (ActiveMQMessage) pass(session.createMessage());
        assertEquals(first.getMessageId().getProducerId(), second.getMessageId().getProducerId());
        assertEquals(first.getMessageId().getProducerSequenceId() + 1,
                second.getMessageId().getProducerSequenceId());
    }

    @Test
    void aConnectionTellsWhoTheBrokerIs() throws Exception {
        ActiveMQConnection connection = connect();
        eventually("the broker's name comes", () -> connection.getBrokerName() != null);
        assertNotNull(connection.getBrokerInfo().getBrokerId());
        assertNotNull(connection.getMetaData().getJMSProviderName());
    }
}
