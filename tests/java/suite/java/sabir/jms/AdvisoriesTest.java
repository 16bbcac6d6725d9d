// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.TemporaryTopic;
import javax.jms.TextMessage;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.advisory.ConsumerEvent;
import org.apache.activemq.advisory.ConsumerEventSource;
import org.apache.activemq.advisory.DestinationEvent;
import org.apache.activemq.advisory.DestinationSource;
import org.apache.activemq.advisory.ProducerEvent;
import org.apache.activemq.advisory.ProducerEventSource;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQTextMessage;
import org.apache.activemq.command.ConnectionInfo;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.DestinationInfo;
import org.apache.activemq.command.ProducerInfo;
import org.apache.activemq.command.RemoveInfo;
import org.junit.jupiter.api.Test;

/** What brokers tell about destinations, connections, consumers and producers. */
class AdvisoriesTest extends JmsTest {
    private DestinationSource source(ActiveMQConnection connection) throws JMSException {
        return connection.getDestinationSource();
    }

    @Test
    void theSourceOfDestinationsKnowsThoseThatWereThereBefore() throws Exception {
        Session session = session();
        Queue queue = session.createQueue(name);
        Topic topic = session.createTopic(name);
        session.createConsumer(queue);
        session.createConsumer(topic);
        TemporaryQueue temporaryQueue = session.createTemporaryQueue();
        TemporaryTopic temporaryTopic = session.createTemporaryTopic();
        DestinationSource source = source(connect());
        eventually("the queue is known", () -> source.getQueues().contains(queue));
        eventually("the topic is known", () -> source.getTopics().contains(topic));
        eventually("the temporary queue is known", () -> source.getTemporaryQueues().contains(temporaryQueue));
        eventually("the temporary topic is known", () -> source.getTemporaryTopics().contains(temporaryTopic));
    }

    @Test
    void theSourceOfDestinationsLearnsOfThoseThatComeAndGo() throws Exception {
        ActiveMQConnection watching = connect();
        DestinationSource source = source(watching);
        BlockingQueue<DestinationEvent> events = new LinkedBlockingQueue<>();
        source.setDestinationListener(event -> {
            if (event.getDestination().getPhysicalName().equals(name)) {
                events.add(event);
            }
        });
        Session session = session();
        Queue queue = session.createQueue(name);
        send(session, queue, "makes it");
        DestinationEvent added = next(events);
        assertTrue(added.isAddOperation());
        assertEquals(queue, added.getDestination());
        expect(session.createConsumer(queue), "makes it");
        session.close();
        eventually("nobody uses it any more", () -> {
            try {
                watching.destroyDestination((ActiveMQDestination) queue);
                return true;
            } catch (JMSException error) {
                return false;
            }
        });
        assertTrue(next(events).isRemoveOperation());
        assertEquals(false, source.getQueues().contains(queue));
    }

    @Test
    void temporaryQueuesAreToldWhenTheyComeAndGo() throws Exception {
        Session watching = session();
        MessageConsumer advisories = watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.TempQueue"));
        Session session = session();
        TemporaryQueue queue = session.createTemporaryQueue();
        DestinationInfo added = nextAbout(advisories, queue);
        assertTrue(added.isAddOperation());
        queue.delete();
        assertTrue(nextAbout(advisories, queue).isRemoveOperation());
    }

    private static DestinationInfo nextAbout(MessageConsumer advisories, Destination destination) throws JMSException {
        while (true) {
            ActiveMQMessage message = (ActiveMQMessage) receive(advisories);
            if (message.getDataStructure() instanceof DestinationInfo info
                    && info.getDestination().equals(destination)) {
                assertEquals("Advisory", message.getJMSType());
                return info;
            }
        }
    }

    @Test
    void whoConsumesFromAQueueIsTold() throws Exception {
        ActiveMQConnection watching = connect();
        Session session = session();
        Queue queue = session.createQueue(name);
        BlockingQueue<ConsumerEvent> events = new LinkedBlockingQueue<>();
        ConsumerEventSource source = new ConsumerEventSource(watching, queue);
        source.setConsumerListener(events::add);
        source.start();
        MessageConsumer first = session.createConsumer(queue);
        ConsumerEvent started = next(events);
        assertTrue(started.isStarted());
        assertEquals(1, started.getConsumerCount());
        MessageConsumer second = session.createConsumer(queue);
        assertEquals(2, next(events).getConsumerCount());
        first.close();
        ConsumerEvent stopped = next(events);
        assertEquals(false, stopped.isStarted());
        assertEquals(1, stopped.getConsumerCount());
        second.close();
        assertEquals(0, next(events).getConsumerCount());
        source.stop();
    }

    @Test
    void whoListensLaterIsToldOfTheConsumersProducersAndConnectionsThatAreThere() throws Exception {
        ActiveMQConnection connection = connectAs(name);
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        session.createConsumer(queue, "colour = 'red'");
        session.createProducer(queue);
        Session watching = session();
        MessageConsumer consumers =
                watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Consumer.Queue." + name));
        ActiveMQMessage told = (ActiveMQMessage) receive(consumers);
        ConsumerInfo consumer = assertInstanceOf(ConsumerInfo.class, told.getDataStructure());
        assertEquals(queue, consumer.getDestination());
        assertEquals("colour = 'red'", consumer.getSelector());
        assertEquals(1, told.getIntProperty("consumerCount"));
        MessageConsumer producers =
                watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Producer.Queue." + name));
        ProducerInfo producer = assertInstanceOf(ProducerInfo.class,
                ((ActiveMQMessage) receive(producers)).getDataStructure());
        assertEquals(queue, producer.getDestination());
        MessageConsumer connections = watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Connection"));
        ConnectionInfo info = null;
        while (info == null || !name.equals(info.getClientId())) {
            if (((ActiveMQMessage) receive(connections)).getDataStructure() instanceof ConnectionInfo found) {
                info = found;
            }
        }
    }

    @Test
    void whatExpiresAndBecomesADeadLetterIsTold() throws Exception {
        Session watching = session();
        MessageConsumer expired =
                watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Expired.Queue." + name));
        MessageConsumer dead =
                watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.MessageDLQd.Queue." + name));
        Session session = session();
        Queue queue = session.createQueue(name);
        MessageProducer producer = session.createProducer(queue);
        producer.setTimeToLive(1);
        TextMessage sent = session.createTextMessage("late");
        sent.setStringProperty("colour", "red");
        producer.send(sent);
        outlive(sent);
        expectNothing(session.createConsumer(queue));
        ActiveMQMessage told = (ActiveMQMessage) receive(expired);
        assertEquals(sent.getJMSMessageID(), told.getStringProperty("orignalMessageId"));
        for (ActiveMQMessage advisory : new ActiveMQMessage[] {told, (ActiveMQMessage) receive(dead)}) {
            ActiveMQTextMessage message = assertInstanceOf(ActiveMQTextMessage.class, advisory.getDataStructure());
            assertEquals(sent.getJMSMessageID(), message.getJMSMessageID());
            assertEquals("red", message.getStringProperty("colour"));
            assertEquals(queue, message.getJMSDestination());
            assertNull(message.getText());
        }
    }

    @Test
    void whoSubscribesToATopicIsTold() throws Exception {
        Session watching = session();
        MessageConsumer advisories =
                watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Consumer.Topic." + name));
        Session session = session();
        MessageConsumer consumer = session.createConsumer(session.createTopic(name), "colour = 'red'");
        ActiveMQMessage added = (ActiveMQMessage) receive(advisories);
        ConsumerInfo info = assertInstanceOf(ConsumerInfo.class, added.getDataStructure());
        assertEquals(session.createTopic(name), info.getDestination());
        assertEquals("colour = 'red'", info.getSelector());
        assertEquals(1, added.getIntProperty("consumerCount"));
        consumer.close();
        ActiveMQMessage removed = (ActiveMQMessage) receive(advisories);
        RemoveInfo remove = assertInstanceOf(RemoveInfo.class, removed.getDataStructure());
        assertEquals(info.getConsumerId(), remove.getObjectId());
        assertEquals(0, removed.getIntProperty("consumerCount"));
    }

    @Test
    void whoProducesIsTold() throws Exception {
        ActiveMQConnection watching = connect();
        Session session = session();
        Queue queue = session.createQueue(name);
        BlockingQueue<ProducerEvent> events = new LinkedBlockingQueue<>();
        ProducerEventSource source = new ProducerEventSource(watching, queue);
        source.setProducerListener(events::add);
        source.start();
        var producer = session.createProducer(queue);
        ProducerEvent started = next(events);
        assertTrue(started.isStarted());
        assertEquals(1, started.getProducerCount());
        producer.close();
        assertEquals(false, next(events).isStarted());
        source.stop();
    }

    @Test
    void connectionsAreToldWhenTheyComeAndGo() throws Exception {
        Session watching = session();
        MessageConsumer advisories = watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Connection"));
        ActiveMQConnection connection = connectAs(name);
        ConnectionInfo info = null;
        while (info == null || !name.equals(info.getClientId())) {
            if (((ActiveMQMessage) receive(advisories)).getDataStructure() instanceof ConnectionInfo found) {
                info = found;
            }
        }
        connection.close();
        RemoveInfo gone = null;
        while (gone == null || !gone.getObjectId().equals(info.getConnectionId())) {
            if (((ActiveMQMessage) receive(advisories)).getDataStructure() instanceof RemoveInfo found) {
                gone = found;
            }
        }
    }

    @Test
    void advisoriesTellWhichBrokerTheyAreOf() throws Exception {
        Session watching = session();
        MessageConsumer advisories =
                watching.createConsumer(watching.createTopic("ActiveMQ.Advisory.Consumer.Queue." + name));
        session().createConsumer(watching.createQueue(name));
        Message advisory = receive(advisories);
        assertTrue(advisory.propertyExists("originBrokerId"));
        assertTrue(advisory.propertyExists("originBrokerName"));
        assertTrue(advisory.propertyExists("originBrokerURL"));
    }

    @Test
    void aPatternOfApplicationsSeesNoAdvisories() throws Exception {
        Session watching = session();
        MessageConsumer all = watching.createConsumer(watching.createTopic(name + ".>"));
        Session session = session();
        session.createConsumer(session.createTopic(name + ".x"));
        send(session, session.createTopic(name + ".x"), "application's");
        expect(all, "application's");
        expectNothing(all);
    }
}
