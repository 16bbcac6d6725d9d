// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
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
        TwoBranches branches = new TwoBranches();

        broker.kill();
        breakLink(branches.connection);
        broker = closing(Broker.takingOver(broker));

        branches.mustBeThereAndEnd(xa().getXAResource());
        assertEquals(List.of("1"), drain(branches.queue));
    }
}
