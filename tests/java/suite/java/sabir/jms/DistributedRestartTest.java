// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import javax.jms.DeliveryMode;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.XASession;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import sabir.harness.Broker;
import sabir.harness.Peer;

/** Prepared branches after kill -9 and a new start. */
@Timeout(120)
class DistributedRestartTest extends DistributedTransactionsBase {
    private final Broker broker = closing(Broker.start());

    @Override
    String brokerUri() {
        return broker.uri();
    }

    @Test
    void whatIsPreparedIsCommittedOrRolledBackAfterEveryRestart() throws Exception {
        ActiveMQXAConnection connection = connectXa("");
        XASession session = connection.createXASession();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        sendMany(session(), queue, 3);
        MessageConsumer consumer = session.createConsumer(queue);
        Branch committed = branch("committed");
        begin(resource, committed);
        expect(consumer, "0");
        send(session, other, "a", "b");
        end(resource, committed);
        assertEquals(XAResource.XA_OK, resource.prepare(committed));
        Branch rolledBack = branch("rolled back");
        begin(resource, rolledBack);
        expect(consumer, "1");
        send(session, other, "never");
        end(resource, rolledBack);
        assertEquals(XAResource.XA_OK, resource.prepare(rolledBack));
        Branch open = branch("open");
        begin(resource, open);
        expect(consumer, "2");
        send(session, other, "not prepared");
        end(resource, open);

        broker.kill();
        breakLink(connection);
        broker.restart();
        broker.restart();

        XAResource recovering = xa().getXAResource();
        assertTrue(isListed(recovering, committed) && isListed(recovering, rolledBack));
        assertFalse(isListed(recovering, open));
        assertEquals(List.of("2"), drain(queue));
        assertEquals(List.of(), drain(other));
        recovering.commit(committed, false);
        recovering.rollback(rolledBack);
        assertFalse(isListed(recovering, committed) || isListed(recovering, rolledBack));
        assertEquals(List.of("a", "b"), drain(other));
        Message back = receive(session().createConsumer(queue));
        assertEquals("1", text(back));
        // ActiveMQ does not remember over a restart what was acknowledged in the branch.
        assertEquals(!Peer.isActiveMq(), back.getJMSRedelivered());

        // Acknowledgements are written behind; a persistent message waits for the disk.
        Session watching = session();
        send(watching, watching.createQueue(name + ".behind"), "x");
        broker.restart();
        assertFalse(isListed(xa().getXAResource(), committed));
        assertEquals(List.of(), drain(other));
    }

    @Test
    void aBranchIsWholeAlthoughItsConnectionFailsOverInTheMidstOfIt() throws Exception {
        ActiveMQXAConnectionFactory factory = new ActiveMQXAConnectionFactory("failover:(" + brokerUri() + ")");
        ActiveMQXAConnection connection = closing((ActiveMQXAConnection) factory.createXAConnection());
        connection.start();
        XASession session = connection.createXASession();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Branch branch = branch("b");
        begin(resource, branch);
        MessageProducer producer = session.createProducer(queue);
        producer.setDeliveryMode(DeliveryMode.PERSISTENT);
        producer.send(session.createTextMessage("before"));

        broker.restart();

        producer.send(session.createTextMessage("after"));
        end(resource, branch);
        assertEquals(XAResource.XA_OK, resource.prepare(branch));

        broker.restart();

        resource.commit(branch, false);
        assertEquals(List.of("before", "after"), drain(queue));
    }
}
