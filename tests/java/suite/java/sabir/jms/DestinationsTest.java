// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQMessageConsumer;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Names: several at once, patterns, virtual topics, and options behind the name. */
class DestinationsTest extends JmsTest {
    private Session session;

    @BeforeEach
    void open() throws JMSException {
        session = session();
    }

    private Queue queue(String suffix) throws JMSException {
        return session.createQueue(name + suffix);
    }

    private Topic topic(String suffix) throws JMSException {
        return session.createTopic(name + suffix);
    }

    @ParameterizedTest
    @ValueSource(strings = {"plain", "with space", "with/slash", "ünïcödé 漢字", "a:b", "UPPER.lower", "-_$%&@!()[]{}~"})
    void namesMayHaveAnyCharacters(String part) throws JMSException {
        Queue queue = queue("." + part);
        send(session, queue, part);
        Message received = receive(session.createConsumer(queue));
        assertEquals(part, text(received));
        assertEquals(queue, received.getJMSDestination());
    }

    @Test
    void aCompositeSendsToEachOfItsParts() throws JMSException {
        MessageConsumer onTopic = session.createConsumer(topic(".c"));
        Queue composite = session.createQueue(name + ".a," + name + ".b,topic://" + name + ".c");
        send(session, composite, "to all");
        expect(session.createConsumer(queue(".a")), "to all");
        Message second = receive(session.createConsumer(queue(".b")));
        assertEquals("to all", text(second));
        assertEquals(queue(".b"), second.getJMSDestination());
        assertEquals(composite, ((ActiveMQMessage) second).getOriginalDestination());
        expect(onTopic, "to all");
    }

    @Test
    void aConsumerWithWildcardsSeesTheDestinationThatItMatched() throws JMSException {
        MessageConsumer queues = session.createConsumer(session.createQueue(name + ".q.>"));
        MessageConsumer topics = session.createConsumer(session.createTopic(name + ".*.t"));
        Queue composite = session.createQueue(
                name + ".q.a," + name + ".q.b," + name + ".c,topic://" + name + ".u,topic://" + name + ".x.t");
        send(session, composite, "to all");
        Set<Destination> seen = new HashSet<>();
        for (int number = 0; number < 2; number++) {
            Message message = receive(queues);
            seen.add(message.getJMSDestination());
            assertEquals(composite, ((ActiveMQMessage) message).getOriginalDestination());
        }
        assertEquals(Set.of(queue(".q.a"), queue(".q.b")), seen);
        assertEquals(topic(".x.t"), receive(topics).getJMSDestination());
    }

    @Test
    void aCompositeInATransactionIsSentToAllOrNone() throws JMSException {
        Session transacted = transacted(connect());
        Queue composite = session.createQueue(name + ".a," + name + ".b");
        send(transacted, composite, "never");
        transacted.rollback();
        send(transacted, composite, "both");
        transacted.commit();
        assertEquals(List.of("both"), drain(queue(".a")));
        assertEquals(List.of("both"), drain(queue(".b")));
    }

    @Test
    void aCompositeConsumerReceivesFromEachOfItsParts() throws JMSException {
        MessageConsumer consumer = session.createConsumer(session.createQueue(name + ".a," + name + ".b"));
        send(session, queue(".a"), "a");
        send(session, queue(".b"), "b");
        assertEquals(Set.of("a", "b"), new TreeSet<>(take(consumer, 2)));
    }

    @Test
    void aCompositeOfTopics() throws JMSException {
        Topic composite = session.createTopic(name + ".a," + name + ".b");
        MessageConsumer both = session.createConsumer(composite);
        send(session, topic(".a"), "to a");
        send(session, topic(".b"), "to b");
        expect(both, "to a", "to b");
        both.close();
        MessageConsumer a = session.createConsumer(topic(".a"));
        MessageConsumer b = session.createConsumer(topic(".b"));
        send(session, composite, "to both");
        expect(a, "to both");
        expect(b, "to both");
    }

    @Test
    void aStarIsOneWord() throws JMSException {
        MessageConsumer consumer = session.createConsumer(topic(".*.x"));
        send(session, topic(".a.x"), "one word");
        send(session, topic(".a.b.x"), "two words");
        send(session, topic(".x"), "none");
        send(session, topic(".b.x"), "another");
        expect(consumer, "one word", "another");
        expectNothing(consumer);
    }

    @Test
    void theGreaterSignIsAllThatFollows() throws JMSException {
        MessageConsumer consumer = session.createConsumer(topic(".>"));
        List<String> sent = new ArrayList<>(List.of(".a", ".a.b", ".a.b.c"));
        for (String suffix : sent) {
            send(session, topic(suffix), suffix);
        }
        expect(consumer, sent.toArray(String[]::new));
        send(session, session.createTopic("other" + name), "elsewhere");
        expectNothing(consumer);
    }

    @Test
    void aPatternOfQueuesConsumesFromThoseThatAreThereAndThoseThatCome() throws JMSException {
        send(session, queue(".there"), "there");
        MessageConsumer consumer = session.createConsumer(queue(".*"));
        expect(consumer, "there");
        send(session, queue(".comes"), "comes");
        Message comes = receive(consumer);
        assertEquals("comes", text(comes));
        assertEquals(queue(".comes"), comes.getJMSDestination());
        assertEquals(List.of(), drain(queue(".there")));
    }

    @Test
    void eachConsumerOfAVirtualTopicHasAQueueOfItsOwn() throws JMSException {
        String topicName = "VirtualTopic." + name;
        MessageConsumer a1 = session.createConsumer(session.createQueue("Consumer.A." + topicName));
        MessageConsumer a2 = session().createConsumer(session.createQueue("Consumer.A." + topicName));
        MessageConsumer b = session.createConsumer(session.createQueue("Consumer.B." + topicName));
        MessageConsumer plain = session.createConsumer(session.createTopic(topicName));
        sendMany(session, session.createTopic(topicName), 10);
        expect(b, numbers(0, 10));
        expect(plain, numbers(0, 10));
        Set<String> shared = new TreeSet<>(take(a1, 5));
        shared.addAll(take(a2, 5));
        assertEquals(10, shared.size(), "the consumers of one queue share");
    }

    @Test
    void theQueueOfAVirtualTopicKeepsWhatComesWhileNobodyIsThere() throws JMSException {
        Queue own = session.createQueue("Consumer.A.VirtualTopic." + name);
        Topic topic = session.createTopic("VirtualTopic." + name);
        session.createConsumer(own).close();
        sendMany(session, topic, 3);
        MessageConsumer consumer = session.createConsumer(own);
        Message first = receive(consumer);
        assertEquals("0", text(first));
        assertEquals(topic, ((ActiveMQMessage) first).getOriginalDestination());
        expect(consumer, "1", "2");
    }

    @Test
    void aTransactionToAVirtualTopicReachesAllQueuesTogether() throws JMSException {
        Queue a = session.createQueue("Consumer.A.VirtualTopic." + name);
        Queue b = session.createQueue("Consumer.B.VirtualTopic." + name);
        MessageConsumer atA = session.createConsumer(a);
        MessageConsumer atB = session.createConsumer(b);
        Session transacted = transacted(connect());
        send(transacted, session.createTopic("VirtualTopic." + name), "later");
        expectNothing(atA);
        transacted.commit();
        expect(atA, "later");
        expect(atB, "later");
    }

    @Test
    void anOptionBehindTheNameSetsThePrefetch() throws JMSException {
        ActiveMQConnection connection = connect();
        Session client = client(connection);
        MessageConsumer consumer = client.createConsumer(session.createQueue(name + "?consumer.prefetchSize=1"));
        assertEquals(1, ((ActiveMQMessageConsumer) consumer).getPrefetchNumber());
        sendMany(session, queue(""), 3);
        assertEquals(List.of("1", "2"), drain(queue("")));
        expect(consumer, "0");
    }

    @Test
    void anOptionBehindTheNameSetsTheSelector() throws JMSException {
        String selector = "?consumer.selector=" + "colour%3D%27red%27";
        MessageConsumer consumer = session.createConsumer(session.createQueue(name + selector));
        MessageProducer producer = session.createProducer(queue(""));
        for (String colour : List.of("blue", "red")) {
            Message message = session.createTextMessage(colour);
            message.setStringProperty("colour", colour);
            producer.send(message);
        }
        expect(consumer, "red");
        expectNothing(consumer);
        assertEquals(List.of("blue"), drain(queue("")));
    }

    @Test
    void anOptionBehindTheNameLeavesOutWhatTheConnectionSends() throws JMSException {
        ActiveMQConnection connection = connect();
        Session own = auto(connection);
        MessageConsumer consumer = own.createConsumer(session.createTopic(name + "?consumer.noLocal=true"));
        send(own, topic(""), "own");
        send(session, topic(""), "foreign");
        expect(consumer, "foreign");
        expectNothing(consumer);
    }

    @Test
    void severalOptionsBehindOneName() throws JMSException {
        Destination options = session.createQueue(
                name + "?consumer.exclusive=true&consumer.priority=3&consumer.prefetchSize=5&consumer.dispatchAsync=false");
        MessageConsumer consumer = session.createConsumer(options);
        MessageConsumer other = session().createConsumer(queue(""));
        sendMany(session, queue(""), 10);
        expect(consumer, numbers(0, 10));
        expectNothing(other);
        assertEquals(name, ((ActiveMQDestination) options).getPhysicalName());
    }

    @Test
    void aSenderMayUseANameWithOptionsToo() throws JMSException {
        send(session, session.createQueue(name + "?consumer.prefetchSize=1"), "sent");
        assertEquals(List.of("sent"), drain(queue("")));
    }

    @Test
    void aDestinationThatIsDestroyedForgetsItsMessages() throws JMSException {
        ActiveMQConnection connection = connect();
        sendMany(session, queue(""), 3);
        connection.destroyDestination((ActiveMQDestination) queue(""));
        assertEquals(List.of(), drain(queue("")));
        assertTrue(connection.isStarted());
    }
}
