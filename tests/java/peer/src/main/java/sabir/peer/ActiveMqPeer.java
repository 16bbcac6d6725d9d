// SPDX-License-Identifier: Apache-2.0
package sabir.peer;

import java.io.File;
import java.net.URI;
import java.util.List;
import org.apache.activemq.broker.BrokerPlugin;
import org.apache.activemq.broker.BrokerService;
import org.apache.activemq.broker.TransportConnector;
import org.apache.activemq.broker.region.policy.PolicyEntry;
import org.apache.activemq.broker.region.policy.PolicyMap;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;
import org.apache.activemq.filter.DestinationMapEntry;
import org.apache.activemq.network.NetworkConnector;
import org.apache.activemq.security.AuthenticationUser;
import org.apache.activemq.security.AuthorizationEntry;
import org.apache.activemq.security.AuthorizationPlugin;
import org.apache.activemq.security.DefaultAuthorizationMap;
import org.apache.activemq.security.SimpleAuthenticationPlugin;
import org.apache.activemq.security.TempDestinationAuthorizationEntry;
import org.apache.activemq.store.kahadb.KahaDBPersistenceAdapter;

/**
 * ActiveMQ as a process that is started and read like Sabir: it says on standard output what it opened and that it is
 * ready, and ends when its standard input does, so that it never outlives the tests.
 *
 * <p>Arguments: the folder of its records, the address to listen on, how often expired messages are looked for in
 * milliseconds, and, if clients must log in, the word secured, or for a bridge to another broker the word bridge, or duplex if it
 * is to work both ways, that broker's address and, if it wants one, a user and a password. All settings that are not named here are ActiveMQ's own.
 */
public final class ActiveMqPeer {
    private ActiveMqPeer() {}

    public static void main(String[] arguments) throws Exception {
        BrokerService broker = new BrokerService();
        List<String> extra = List.of(arguments).subList(3, arguments.length);
        boolean secured = extra.contains("secured");
        boolean duplex = extra.contains("duplex");
        boolean bridge = duplex || extra.contains("bridge");
        broker.setBrokerName(bridge ? "bridge" : "peer");
        broker.setUseJmx(false);
        broker.setUseShutdownHook(false);
        broker.setDataDirectoryFile(new File(arguments[0]));
        KahaDBPersistenceAdapter store = new KahaDBPersistenceAdapter();
        store.setDirectory(new File(arguments[0], "kahadb"));
        // The default takes the disk's whole time to make the first file.
        store.setJournalMaxFileLength(8 * 1024 * 1024);
        broker.setPersistenceAdapter(store);
        broker.setDestinationPolicy(policies(Long.parseLong(arguments[2])));
        if (secured) {
            broker.setPlugins(new BrokerPlugin[] {authentication(), authorization()});
            broker.setPopulateJMSXUserID(true);
        }
        if (bridge) {
            bridgeTo(broker, extra.subList(1, extra.size()), duplex);
        }
        broker.getSystemUsage().getMemoryUsage().setLimit(512L * 1024 * 1024);
        broker.getSystemUsage().getStoreUsage().setLimit(2L * 1024 * 1024 * 1024);
        broker.getSystemUsage().getTempUsage().setLimit(1024L * 1024 * 1024);
        TransportConnector connector = broker.addConnector(new URI(arguments[1]));
        broker.start();
        broker.waitUntilStarted();
        URI address = connector.getServer().getConnectURI();
        System.out.println("listening tcp 127.0.0.1:" + address.getPort() + " openwire");
        System.out.println("ready");
        System.out.flush();
        while (System.in.read() >= 0) {
            continue;
        }
        Runtime.getRuntime().halt(0);
    }

    private static void bridgeTo(BrokerService broker, List<String> where, boolean duplex) throws Exception {
        int number = 0;
        for (String uri : where.get(0).split(" ")) {
            // Its own waits grow to half a minute.
            NetworkConnector connector = broker.addNetworkConnector(
                    "static:(" + uri + ")?initialReconnectDelay=100&useExponentialBackOff=false");
            connector.setName("NC" + number++);
            connector.setDuplex(duplex);
            if (where.size() > 2) {
                connector.setUserName(where.get(1));
                connector.setPassword(where.get(2));
            }
        }
    }

    private static PolicyMap policies(long sweepMs) {
        PolicyEntry everywhere = new PolicyEntry();
        everywhere.setQueue(">");
        everywhere.setExpireMessagesPeriod(sweepMs);
        PolicyEntry topics = new PolicyEntry();
        topics.setTopic(">");
        topics.setExpireMessagesPeriod(sweepMs);
        // ActiveMQ honours priorities only where it is told to.
        PolicyEntry prioritized = new PolicyEntry();
        prioritized.setDestination(new ActiveMQQueue("prioritized.>"));
        prioritized.setPrioritizedMessages(true);
        prioritized.setExpireMessagesPeriod(sweepMs);
        PolicyMap map = new PolicyMap();
        map.setPolicyEntries(List.of(everywhere, topics, prioritized));
        return map;
    }

    /** Two users, as Broker.secured says. */
    private static BrokerPlugin authentication() {
        return new SimpleAuthenticationPlugin(List.of(new AuthenticationUser("ann", "ann's secret", "sales,all"),
                new AuthenticationUser("bob", "bob's secret", "all")));
    }

    private static BrokerPlugin authorization() throws Exception {
        DefaultAuthorizationMap map = new DefaultAuthorizationMap(List.of(entry(new ActiveMQQueue("sales.>"), "sales"),
                entry(new ActiveMQQueue("public.>"), "all"), entry(new ActiveMQTopic("ActiveMQ.Advisory.>"), "all")));
        TempDestinationAuthorizationEntry temporary = new TempDestinationAuthorizationEntry();
        temporary.setRead("all");
        temporary.setWrite("all");
        temporary.setAdmin("all");
        map.setTempDestinationAuthorizationEntry(temporary);
        return new AuthorizationPlugin(map);
    }

    private static DestinationMapEntry<?> entry(ActiveMQDestination destination, String group) throws Exception {
        AuthorizationEntry entry = new AuthorizationEntry();
        entry.setDestination(destination);
        entry.setRead(group);
        entry.setWrite(group);
        entry.setAdmin(group);
        return entry;
    }
}
