// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import javax.jms.XASession;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQXAConnection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import sabir.harness.Broker;
import sabir.harness.Gate;
import sabir.harness.Peer;

/** What is there after kill -9 when the store has no index any more: all of it. */
@Timeout(180)
class RebuiltIndexTest extends DistributedTransactionsBase {
    private static final long DELAY_MS = 4_000;

    private final Broker broker = closing(Broker.withoutIndex());
    private final Gate gate = closing(new Gate(broker.port()));

    @Override
    String brokerUri() {
        return broker.uri();
    }

    /** Consumes some and acknowledges them; the persistent message behind is stored after that. */
    private void consume(Session session, MessageConsumer consumer, int count) throws JMSException {
        for (int number = 0; number < count; number++) {
            receive(consumer).acknowledge();
        }
        consumer.close();
        Session behind = session();
        send(behind, behind.createQueue(name + ".behind"), "x");
    }

    /** Sends what is confirmed only when the client has found the broker again. */
    private CompletableFuture<Void> sendUnanswered(Queue queue) throws Exception {
        ActiveMQConnection connection = start(new ActiveMQConnectionFactory(
                "failover:(" + gate.uri() + ")?initialReconnectDelay=5&maxReconnectDelay=50"));
        return sendUnanswered(gate, auto(connection), queue, "once");
    }

    @Test
    void everythingIsFoundInTheLogAgain() throws Exception {
        // ActiveMQ does not always find durable subscriptions again.
        assumeFalse(Peer.isActiveMq());
        Session session = session();
        Queue queue = session.createQueue(name);
        sendMany(session, queue, 10);
        Session acknowledging = client(connect("?jms.prefetchPolicy.all=1"));
        consume(acknowledging, acknowledging.createConsumer(queue), 4);
        Topic topic = session.createTopic(name);
        ActiveMQConnection owner = connectAs(name);
        MessageConsumer subscriber = client(owner).createDurableSubscriber(topic, "sub");
        sendMany(session, topic, 6);
        consume(session, subscriber, 2);
        owner.close();
        Queue soon = session.createQueue(name + ".soon");
        Message delayed = session.createTextMessage("later");
        delayed.setLongProperty("AMQ_SCHEDULED_DELAY", DELAY_MS);
        session.createProducer(soon).send(delayed);
        Queue source = session.createQueue(name + ".source");
        Queue target = session.createQueue(name + ".target");
        sendMany(session, source, 2);
        ActiveMQXAConnection distributed = connectXa("");
        XASession xa = distributed.createXASession();
        XAResource resource = xa.getXAResource();
        MessageConsumer taking = xa.createConsumer(source);
        Branch branch = branch("prepared");
        begin(resource, branch);
        expect(taking, "0");
        send(xa, target, "a", "b");
        end(resource, branch);
        assertEquals(XAResource.XA_OK, resource.prepare(branch));
        Queue once = session.createQueue(name + ".once");
        CompletableFuture<Void> sent = sendUnanswered(once);

        gate.shut();
        broker.kill();
        breakLink(distributed);
        broker.removeIndex();
        broker.restart();
        gate.cut();
        gate.open();

        sent.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertTrue(broker.log().contains("without a checkpoint"), broker.log());
        assertEquals(List.of("once"), drain(once));
        assertEquals(List.of(numbers(4, 10)), drain(queue));
        MessageConsumer back = auto(connectAs(name)).createDurableSubscriber(topic, "sub");
        expect(back, numbers(2, 6));
        expectNothing(back);
        XAResource recovering = xa().getXAResource();
        assertTrue(isListed(recovering, branch));
        assertEquals(List.of(), drain(target));
        assertEquals(List.of("1"), drain(source));
        recovering.commit(branch, false);
        assertEquals(List.of("a", "b"), drain(target));
        assertEquals(List.of(), drain(source));
        expect(session().createConsumer(soon), "later");
    }
}
