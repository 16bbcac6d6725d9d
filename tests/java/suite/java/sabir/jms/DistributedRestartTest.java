// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.List;
import java.util.Random;
import javax.jms.BytesMessage;
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
        TwoBranches branches = new TwoBranches();
        Branch open = branches.work("open", "2", "not prepared");

        broker.kill();
        breakLink(branches.connection);
        broker.restart();
        broker.restart();

        XAResource recovering = xa().getXAResource();
        assertFalse(isListed(recovering, open));
        branches.mustBeThereAndEnd(recovering);
        Message back = receive(session().createConsumer(branches.queue));
        assertEquals("1", text(back));
        // ActiveMQ does not remember over a restart what was acknowledged in the branch.
        assertEquals(!Peer.isActiveMq(), back.getJMSRedelivered());

        // Acknowledgements are written behind; a persistent message waits for the disk.
        Session watching = session();
        send(watching, watching.createQueue(name + ".behind"), "x");
        broker.restart();
        assertFalse(isListed(xa().getXAResource(), branches.committed));
        assertEquals(List.of(), drain(branches.other));
    }

    @Test
    void longBodiesArePreparedAndComeBackWholeAfterARestart() throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        byte[] body = new byte[5_000_000];
        new Random(7).nextBytes(body);
        Branch committed = branch("committed");
        Branch rolledBack = branch("rolled back");
        for (Branch branch : List.of(committed, rolledBack)) {
            begin(resource, branch);
            BytesMessage message = session.createBytesMessage();
            message.writeBytes(body);
            message.setStringProperty("branch", branch.qualifier());
            session.createProducer(queue).send(message);
            end(resource, branch);
            assertEquals(XAResource.XA_OK, resource.prepare(branch));
        }

        broker.restart();

        XAResource recovering = xa().getXAResource();
        recovering.rollback(rolledBack);
        recovering.commit(committed, false);
        MessageConsumer consumer = session().createConsumer(queue);
        BytesMessage received = (BytesMessage) receive(consumer);
        assertEquals("committed", received.getStringProperty("branch"));
        byte[] got = new byte[(int) received.getBodyLength()];
        received.readBytes(got);
        assertArrayEquals(body, got);
        expectNothing(consumer);
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
