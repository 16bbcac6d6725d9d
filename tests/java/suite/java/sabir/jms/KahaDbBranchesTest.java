// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.XASession;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQXAConnection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import sabir.harness.Broker;

/** What was prepared at an ActiveMQ waits for its transaction manager at Sabir. */
@Timeout(180)
@DisabledIfSystemProperty(named = "peer", matches = "activemq", disabledReason = "it is what is imported from")
class KahaDbBranchesTest extends DistributedTransactionsBase {
    private Broker broker = closing(Broker.activeMq());

    @Override
    String brokerUri() {
        return broker.uri();
    }

    @Test
    void preparedBranchesAreTakenOverAndEndAsTheirManagerSays() throws Exception {
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

        broker.kill();
        breakLink(connection);
        broker = closing(Broker.takingOver(broker));

        XAResource recovering = xa().getXAResource();
        assertTrue(isListed(recovering, committed) && isListed(recovering, rolledBack));
        assertEquals(List.of("2"), drain(queue));
        assertEquals(List.of(), drain(other));
        recovering.commit(committed, false);
        recovering.rollback(rolledBack);
        assertFalse(isListed(recovering, committed) || isListed(recovering, rolledBack));
        assertEquals(List.of("a", "b"), drain(other));
        assertEquals(List.of("1"), drain(queue));
    }
}
