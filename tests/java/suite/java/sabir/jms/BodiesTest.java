// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import javax.jms.BytesMessage;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageEOFException;
import javax.jms.MessageNotWriteableException;
import javax.jms.MessageProducer;
import javax.jms.ObjectMessage;
import javax.jms.Session;
import javax.jms.StreamMessage;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The bodies of messages come as they were sent, whatever the two ends agree on to write them. */
class BodiesTest extends JmsTest {
    /** Every plane, what Java writes otherwise than others, and NUL. */
    private static final String UNUSUAL = "plain äöü ħ € 漢字 \u0000 \uD83D\uDE00 \uFFFF \n\r\t\"'";
    /** The same without NUL and characters beyond 0xFFFF, which the clients misread in maps and properties (not in
     * bodies of text, nor in streams): they write them as Java does and read plain UTF-8. */
    private static final String NARROW = UNUSUAL.replaceAll("[\u0000\uD83D\uDE00]", "");

    private ActiveMQConnection connection;
    private Session session;
    private Destination queue;
    private MessageProducer producer;
    private MessageConsumer consumer;

    private void open(String options) throws JMSException {
        connection = connect(options);
        session = auto(connection);
        queue = session.createQueue(name);
        producer = session.createProducer(queue);
        consumer = session.createConsumer(queue);
    }

    private <T extends Message> T pass(T message, Class<T> kind) throws JMSException {
        producer.send(message);
        return assertInstanceOf(kind, receive(consumer));
    }

    private void passText(String text) throws JMSException {
        assertEquals(text, pass(session.createTextMessage(text), TextMessage.class).getText());
    }

    private void passMap() throws JMSException {
        MapMessage sent = session.createMapMessage();
        sent.setBoolean("boolean", true);
        sent.setByte("byte", Byte.MIN_VALUE);
        sent.setShort("short", Short.MIN_VALUE);
        sent.setChar("char", '\uFFFE');
        sent.setInt("int", Integer.MIN_VALUE);
        sent.setLong("long", Long.MIN_VALUE);
        sent.setFloat("float", Float.MIN_VALUE);
        sent.setDouble("double", -Double.MAX_VALUE);
        sent.setDouble("not a number", Double.NaN);
        sent.setString(NARROW, NARROW);
        sent.setString("long text", "x".repeat(70_000));
        sent.setString("null", null);
        sent.setBytes("bytes", new byte[] {0, 1, -1});
        sent.setObject("nested", Map.of("list", List.of(1, "two", 3.0, List.of(4L))));
        MapMessage map = pass(sent, MapMessage.class);
        assertTrue(map.getBoolean("boolean"));
        assertEquals(Byte.MIN_VALUE, map.getByte("byte"));
        assertEquals(Short.MIN_VALUE, map.getShort("short"));
        assertEquals('\uFFFE', map.getChar("char"));
        assertEquals(Integer.MIN_VALUE, map.getInt("int"));
        assertEquals(Long.MIN_VALUE, map.getLong("long"));
        assertEquals(Float.MIN_VALUE, map.getFloat("float"));
        assertEquals(-Double.MAX_VALUE, map.getDouble("double"));
        assertTrue(Double.isNaN(map.getDouble("not a number")));
        assertEquals(NARROW, map.getString(NARROW));
        assertEquals(70_000, map.getString("long text").length());
        assertTrue(map.itemExists("null"));
        assertNull(map.getString("null"));
        assertArrayEquals(new byte[] {0, 1, -1}, map.getBytes("bytes"));
        // As text, because the newer client leaves nested texts as it read them, in a type of its own.
        assertEquals("{list=[1, two, 3.0, [4]]}", map.getObject("nested").toString());
        Set<Object> names = new HashSet<>(Collections.list((java.util.Enumeration<?>) map.getMapNames()));
        assertEquals(14, names.size());
    }

    private void passStream() throws JMSException {
        StreamMessage sent = session.createStreamMessage();
        sent.writeBoolean(false);
        sent.writeByte((byte) 1);
        sent.writeShort((short) -2);
        sent.writeChar('ß');
        sent.writeInt(-3);
        sent.writeLong(1L << 40);
        sent.writeFloat(1.5f);
        sent.writeDouble(Math.PI);
        sent.writeString(UNUSUAL);
        sent.writeString("y".repeat(70_000));
        sent.writeObject(null);
        sent.writeBytes(new byte[] {9, 8, 7});
        StreamMessage stream = pass(sent, StreamMessage.class);
        assertFalse(stream.readBoolean());
        assertEquals(1, stream.readByte());
        assertEquals(-2, stream.readShort());
        assertEquals('ß', stream.readChar());
        assertEquals(-3, stream.readInt());
        assertEquals(1L << 40, stream.readLong());
        assertEquals(1.5f, stream.readFloat());
        assertEquals(Math.PI, stream.readDouble());
        assertEquals(UNUSUAL, stream.readString());
        assertEquals(70_000, stream.readString().length());
        assertNull(stream.readObject());
        byte[] bytes = new byte[5];
        assertEquals(3, stream.readBytes(bytes));
        assertArrayEquals(new byte[] {9, 8, 7, 0, 0}, bytes);
        assertEquals(-1, stream.readBytes(bytes));
        assertThrows(MessageEOFException.class, stream::readByte);
    }

    private void passBytes() throws JMSException {
        byte[] all = new byte[256];
        for (int value = 0; value < all.length; value++) {
            all[value] = (byte) value;
        }
        BytesMessage sent = session.createBytesMessage();
        sent.writeBytes(all);
        sent.writeUTF(UNUSUAL);
        sent.writeLong(-1);
        BytesMessage bytes = pass(sent, BytesMessage.class);
        byte[] read = new byte[256];
        bytes.readBytes(read);
        assertArrayEquals(all, read);
        assertEquals(UNUSUAL, bytes.readUTF());
        assertEquals(-1, bytes.readLong());
        assertEquals(-1, bytes.readBytes(read));
    }

    private void passObject() throws JMSException {
        ArrayList<Object> object = new ArrayList<>(Arrays.asList(1, "two", null, new ArrayList<>(List.of(UNUSUAL))));
        assertEquals(object, pass(session.createObjectMessage(object), ObjectMessage.class).getObject());
    }

    private void passAll() throws JMSException {
        passText(UNUSUAL);
        passText("x".repeat(100_000));
        passText(UNUSUAL.repeat(5_000));
        passMap();
        passStream();
        passBytes();
        passObject();
    }

    @Test
    void textComesAsItWasSent() throws JMSException {
        open("");
        for (String text : List.of("", "a", UNUSUAL, "x".repeat(40_000), "\u0000", UNUSUAL.repeat(10_000))) {
            passText(text);
        }
    }

    @Test
    void noTextIsNotTheEmptyText() throws JMSException {
        open("");
        assertNull(pass(session.createTextMessage(), TextMessage.class).getText());
        assertEquals("", pass(session.createTextMessage(""), TextMessage.class).getText());
    }

    @Test
    void aMapKeepsTheTypesOfItsItems() throws JMSException {
        open("");
        passMap();
    }

    @Test
    void aStreamKeepsItsItemsInOrder() throws JMSException {
        open("");
        passStream();
    }

    @Test
    void bytesComeAsTheyWereSent() throws JMSException {
        open("");
        passBytes();
    }

    @Test
    void anObjectIsCarriedUnread() throws JMSException {
        open("");
        passObject();
    }

    @Test
    void aMessageWithoutABodyHasNone() throws JMSException {
        open("");
        Message sent = session.createMessage();
        sent.setStringProperty("only", "properties");
        producer.send(sent);
        Message received = receive(consumer);
        assertEquals(ActiveMQMessage.class, received.getClass());
        assertEquals("properties", received.getStringProperty("only"));
    }

    @Test
    void emptyBodiesStayEmpty() throws JMSException {
        open("");
        assertEquals(0, pass(session.createBytesMessage(), BytesMessage.class).getBodyLength());
        assertFalse(pass(session.createMapMessage(), MapMessage.class).getMapNames().hasMoreElements());
        assertThrows(MessageEOFException.class,
                () -> pass(session.createStreamMessage(), StreamMessage.class).readBoolean());
        assertNull(pass(session.createObjectMessage(), ObjectMessage.class).getObject());
    }

    @Test
    void whatWasReceivedCannotBeWrittenUntilItIsCleared() throws JMSException {
        open("");
        TextMessage received = pass(session.createTextMessage("a"), TextMessage.class);
        assertThrows(MessageNotWriteableException.class, () -> received.setText("b"));
        received.clearBody();
        received.setText("b");
        assertEquals("b", pass(received, TextMessage.class).getText());
    }

    @Test
    void compressedBodiesComeWhole() throws JMSException {
        open("?jms.useCompression=true");
        passAll();
    }

    @Test
    void oneWhoDoesNotCompressReadsWhatAnotherCompressed() throws JMSException {
        open("?jms.useCompression=true");
        session.createProducer(queue).send(session.createTextMessage(UNUSUAL.repeat(100)));
        consumer.close();
        Session other = session();
        assertEquals(UNUSUAL.repeat(100), text(receive(other.createConsumer(queue))));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "wireFormat.tightEncodingEnabled=false",
        "wireFormat.cacheEnabled=false",
        "wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=false",
        "wireFormat.sizePrefixDisabled=true",
        "wireFormat.cacheSize=128",
        "wireFormat.stackTraceEnabled=false",
        "wireFormat.tcpNoDelayEnabled=false",
        "wireFormat.version=9",
        "wireFormat.version=10",
        "wireFormat.version=11",
        "wireFormat.version=1",
        "wireFormat.version=1&wireFormat.tightEncodingEnabled=false",
        "jms.nestedMapAndListEnabled=true&jms.objectMessageSerializationDefered=true&jms.copyMessageOnSend=false"
    })
    void bodiesComeWholeWhateverTheTwoEndsAgreeOn(String options) throws JMSException {
        open("?" + options);
        passAll();
    }

    @Test
    void oneEndTakesLooseAndOldTheOtherTightAndNew() throws JMSException {
        open("?wireFormat.version=9&wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=false");
        consumer.close();
        consumer = session().createConsumer(queue);
        passAll();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void fiftyMegabytesInOneMessage(boolean compressed) throws JMSException {
        open("?jms.useCompression=" + compressed);
        byte[] body = new byte[50 * 1024 * 1024];
        byte[] block = new byte[1 << 20];
        new Random(7).nextBytes(block);
        for (int at = 0; at < body.length; at += block.length) {
            System.arraycopy(block, 0, body, at, block.length);
        }
        BytesMessage sent = session.createBytesMessage();
        sent.writeBytes(body);
        BytesMessage received = pass(sent, BytesMessage.class);
        assertEquals(body.length, received.getBodyLength());
        byte[] read = new byte[body.length];
        received.readBytes(read);
        assertTrue(Arrays.equals(body, read));
    }
}
