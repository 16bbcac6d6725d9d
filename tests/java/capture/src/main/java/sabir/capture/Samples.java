// SPDX-License-Identifier: Apache-2.0
package sabir.capture;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.net.URL;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.activemq.command.*;
import org.apache.activemq.util.ByteSequence;
import org.apache.activemq.util.MarshallingSupport;

/** One of each command with a value in every field, and one of each with as little as may be. */
final class Samples {
    static final String CONNECTION = "ID:host.example-40123-1700000000000-1:1";
    private static final String GREEN = "gr\u00fcn \u20ac \ud83d\ude00 \0.";

    private final int version;
    private final List<DataStructure> samples = new ArrayList<>();
    private int commands;

    private final ConnectionId connection = new ConnectionId(CONNECTION);
    private final SessionId session = new SessionId(connection, 3);
    private final ConsumerId consumer = new ConsumerId(session, 70000);
    private final ProducerId producer = new ProducerId(session, 5_000_000_000L);
    private final BrokerId broker = new BrokerId("ID:broker-1");
    private final BrokerId[] path = {broker, new BrokerId("ID:broker-2")};
    private final ActiveMQDestination queue = new ActiveMQQueue("ORDERS.EU");
    private final ActiveMQDestination topic = new ActiveMQTopic("PRICES.>");
    private final ActiveMQDestination tempQueue = new ActiveMQTempQueue(connection, 1);
    private final ActiveMQDestination tempTopic = new ActiveMQTempTopic(connection, 2);
    private final TransactionId local = new LocalTransactionId(connection, 65536);
    private final XATransactionId xa = new XATransactionId();

    Samples(int version) {
        this.version = version;
        xa.setFormatId(0x41544f4d);
        xa.setGlobalTransactionId(new byte[] {1, 2, (byte) 0xff});
        xa.setBranchQualifier(new byte[] {0, 127});
    }

    private <C extends BaseCommand> C add(C command) {
        command.setCommandId(++commands * 1000);
        command.setResponseRequired(commands % 2 == 0);
        samples.add(command);
        return command;
    }

    private MessageId messageId(long sequence) {
        MessageId id = new MessageId(producer, sequence);
        id.setBrokerSequenceId(sequence * 100_000);
        return id;
    }

    List<DataStructure> full() throws Exception {
        connections();
        endpoints();
        controls();
        acknowledgements();
        responses();
        bridges();
        fullMessages();
        return samples;
    }

    List<DataStructure> messages() throws Exception {
        samples.clear();
        fullMessages();
        return List.of(samples.get(0), samples.get(samples.size() - 1));
    }

    private void connections() {
        ConnectionInfo info = add(new ConnectionInfo(connection));
        info.setClientId("client-1");
        info.setUserName("user " + GREEN);
        info.setPassword("pass\"word\\");
        info.setBrokerPath(path);
        info.setBrokerMasterConnector(true);
        info.setManageable(true);
        info.setClientMaster(true);
        info.setFaultTolerant(true);
        info.setFailoverReconnect(true);
        info.setClientIp("tcp://127.0.0.1:40123");
        add(new SessionInfo(session));
        for (ActiveMQDestination destination : new ActiveMQDestination[] {tempQueue, tempTopic}) {
            DestinationInfo made = add(new DestinationInfo(connection, DestinationInfo.ADD_OPERATION_TYPE, destination));
            made.setTimeout(destination == tempQueue ? 0x7fff_ffff_ffffL : 65535);
            made.setBrokerPath(path);
        }
        for (byte step = 0; step <= 7; step++) {
            add(new TransactionInfo(connection, step % 2 == 0 ? local : xa, step));
        }
        RemoveSubscriptionInfo removed = add(new RemoveSubscriptionInfo());
        removed.setConnectionId(connection);
        removed.setSubscriptionName("sub");
        removed.setClientId("client-1");
        DataStructure[] ids = {connection, session, consumer, producer};
        for (DataStructure id : ids) {
            RemoveInfo remove = add(new RemoveInfo(id));
            remove.setLastDeliveredSequenceId(id == consumer ? 4_294_967_296L : -1);
        }
    }

    private void endpoints() {
        ConsumerInfo info = add(consumerInfo());
        info.setNetworkConsumerPath(new ConsumerId[] {consumer, new ConsumerId(session, -1)});
        ProducerInfo producing = add(new ProducerInfo(producer));
        producing.setDestination(queue);
        producing.setBrokerPath(path);
        producing.setDispatchAsync(true);
        producing.setWindowSize(1 << 20);
    }

    private ConsumerInfo consumerInfo() {
        ConsumerInfo info = new ConsumerInfo(consumer);
        info.setBrowser(true);
        info.setDestination(topic);
        info.setPrefetchSize(1000);
        info.setMaximumPendingMessageLimit(-1);
        info.setDispatchAsync(true);
        info.setSelector("colour = '" + GREEN + "'");
        info.setClientId("client-1");
        info.setSubscriptionName("sub");
        info.setNoLocal(true);
        info.setExclusive(true);
        info.setRetroactive(true);
        info.setPriority((byte) -5);
        info.setBrokerPath(path);
        NetworkBridgeFilter filter = new NetworkBridgeFilter(info, broker, 3, version < 10 ? 3 : 7);
        info.setAdditionalPredicate(filter);
        info.setNetworkSubscription(true);
        info.setOptimizedAcknowledge(true);
        info.setNoRangeAcks(true);
        return info;
    }

    private void controls() {
        ConsumerControl consumers = add(new ConsumerControl());
        consumers.setDestination(queue);
        consumers.setClose(true);
        consumers.setConsumerId(consumer);
        consumers.setPrefetch(7);
        consumers.setFlush(true);
        consumers.setStart(true);
        consumers.setStop(true);
        ConnectionControl connections = add(new ConnectionControl());
        connections.setClose(true);
        connections.setExit(true);
        connections.setFaultTolerant(true);
        connections.setResume(true);
        connections.setSuspend(true);
        connections.setConnectedBrokers("tcp://a:61616,tcp://b:61616");
        connections.setReconnectTo("tcp://b:61616");
        connections.setRebalanceConnection(true);
        connections.setToken(new byte[] {9, 8, 7});
        add(new KeepAliveInfo());
        add(new ShutdownInfo());
        add(new FlushCommand());
        add(new ControlCommand()).setCommand("shutdown");
        ConnectionError error = add(new ConnectionError());
        error.setConnectionId(connection);
        error.setException(throwable());
    }

    private Throwable throwable() {
        IOException cause = new IOException("the disk " + GREEN);
        cause.setStackTrace(new StackTraceElement[] {
            new StackTraceElement("java.io.Disk", "read", null, -2),
            new StackTraceElement("a.b.C$1", "<init>", "C.java", 65536)
        });
        Throwable outer = new SecurityException("");
        outer.setStackTrace(new StackTraceElement[0]);
        outer.initCause(cause);
        return outer;
    }

    private static Throwable jmsException() throws Exception {
        Class<?> type;
        try {
            type = Class.forName("jakarta.jms.InvalidDestinationException");
        } catch (ClassNotFoundException old) {
            type = Class.forName("javax.jms.InvalidDestinationException");
        }
        Constructor<?> constructor = type.getConstructor(String.class);
        Throwable throwable = (Throwable) constructor.newInstance("no such queue");
        throwable.setStackTrace(new StackTraceElement[] {new StackTraceElement("x.Y", "z", "Y.java", 1)});
        return throwable;
    }

    private void acknowledgements() {
        for (byte type = 0; type <= 6; type++) {
            MessageAck ack = add(new MessageAck());
            ack.setDestination(type % 2 == 0 ? queue : topic);
            ack.setTransactionId(type < 2 ? null : type % 2 == 0 ? local : xa);
            ack.setConsumerId(consumer);
            ack.setAckType(type);
            ack.setFirstMessageId(type % 3 == 0 ? null : messageId(1));
            ack.setLastMessageId(messageId(300));
            ack.setMessageCount(300);
            ack.setPoisonCause(type == 1 ? throwable() : null);
        }
        if (version >= 2) {
            MessagePull pull = add(new MessagePull());
            pull.setConsumerId(consumer);
            pull.setDestination(queue);
            pull.setTimeout(-1);
            pull.setCorrelationId("pull-1");
            pull.setMessageId(messageId(2));
        }
        if (version >= 3) {
            add(new ProducerAck(producer, 1024));
        }
        MessageDispatchNotification notification = add(new MessageDispatchNotification());
        notification.setConsumerId(consumer);
        notification.setDestination(queue);
        notification.setDeliverySequenceId(256);
        notification.setMessageId(messageId(3));
        ReplayCommand replay = add(new ReplayCommand());
        replay.setFirstNakNumber(10);
        replay.setLastNakNumber(Integer.MIN_VALUE);
        PartialCommand partial = new PartialCommand();
        partial.setCommandId(77);
        partial.setData(new byte[] {0, 1, 2, 'x'});
        samples.add(partial);
        LastPartialCommand last = new LastPartialCommand();
        last.setCommandId(77);
        last.setData(new byte[0]);
        samples.add(last);
    }

    private void responses() throws Exception {
        add(new Response()).setCorrelationId(4711);
        ExceptionResponse exception = add(new ExceptionResponse(jmsException()));
        exception.setCorrelationId(1);
        add(new IntegerResponse(3)).setCorrelationId(2);
        DataArrayResponse array = add(new DataArrayResponse());
        array.setCorrelationId(3);
        array.setData(new DataStructure[] {xa, local, queue, tempTopic, messageId(9), broker, consumer});
        for (DataStructure data : data()) {
            DataResponse response = add(new DataResponse(data));
            response.setCorrelationId(Integer.MAX_VALUE);
        }
    }

    private DataStructure[] data() {
        SubscriptionInfo subscription = new SubscriptionInfo();
        subscription.setClientId("client-1");
        subscription.setDestination(topic);
        subscription.setSelector("a > 1");
        subscription.setSubscriptionName("sub");
        subscription.setSubscribedDestination(queue);
        subscription.setNoLocal(true);
        DiscoveryEvent event = new DiscoveryEvent("tcp://a:61616");
        event.setBrokerName("a");
        JournalTopicAck topicAck = new JournalTopicAck();
        topicAck.setDestination(topic);
        topicAck.setMessageId(messageId(4));
        topicAck.setMessageSequenceId(44);
        topicAck.setSubscritionName("sub");
        topicAck.setClientId("client-1");
        topicAck.setTransactionId(local);
        MessageAck ack = new MessageAck();
        ack.setDestination(queue);
        ack.setConsumerId(consumer);
        ack.setLastMessageId(messageId(5));
        JournalQueueAck queueAck = new JournalQueueAck();
        queueAck.setDestination(queue);
        queueAck.setMessageAck(ack);
        ConsumerInfo inner = consumerInfo();
        inner.setCommandId(1);
        return new DataStructure[] {
            subscription, event, topicAck, queueAck, new JournalTrace("started"),
            new JournalTransaction((byte) 2, xa, true), inner, session, producer, messageId(6)
        };
    }

    private void bridges() {
        BrokerInfo info = brokerInfo();
        add(info);
        BrokerInfo peer = brokerInfo();
        peer.setBrokerName("peer");
        info.setPeerBrokerInfos(new BrokerInfo[] {peer, new BrokerInfo()});
        if (version >= 12) {
            BrokerSubscriptionInfo subscriptions = add(new BrokerSubscriptionInfo("broker"));
            subscriptions.setBrokerId(broker);
            subscriptions.setSubscriptionInfos(new ConsumerInfo[] {consumerInfo()});
        }
    }

    private BrokerInfo brokerInfo() {
        BrokerInfo info = new BrokerInfo();
        info.setBrokerId(broker);
        info.setBrokerURL("tcp://a:61616");
        info.setBrokerName("a");
        info.setSlaveBroker(true);
        info.setMasterBroker(true);
        info.setFaultTolerantConfiguration(true);
        info.setDuplexConnection(true);
        info.setNetworkConnection(true);
        info.setConnectionId(65535);
        info.setBrokerUploadUrl("http://a/upload");
        info.setNetworkProperties("duplex=true\n");
        return info;
    }

    private static ByteSequence properties() throws IOException {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("text", GREEN);
        map.put("int", -1);
        map.put("long", Long.MAX_VALUE);
        map.put("double", 0.5);
        map.put("true", true);
        var bytes = new java.io.ByteArrayOutputStream();
        MarshallingSupport.marshalPrimitiveMap(map, new java.io.DataOutputStream(bytes));
        return new ByteSequence(bytes.toByteArray());
    }

    private void fullMessages() throws Exception {
        ActiveMQTextMessage text = fill(new ActiveMQTextMessage());
        text.setText("ol\u00e1 " + GREEN);
        ActiveMQBytesMessage bytes = fill(new ActiveMQBytesMessage());
        bytes.setContent(new ByteSequence(new byte[] {0, 0, 0, 5, 120, -100}));
        bytes.setCompressed(true);
        ActiveMQMapMessage map = fill(new ActiveMQMapMessage());
        map.setString("name", "value");
        map.setBytes("bytes", new byte[] {1, 2});
        ActiveMQStreamMessage stream = fill(new ActiveMQStreamMessage());
        stream.writeInt(7);
        stream.writeString("seven");
        ActiveMQObjectMessage object = fill(new ActiveMQObjectMessage());
        object.setObject("serialised");
        fill(new ActiveMQMessage()).setDataStructure(consumerInfo());
        if (version >= 3) {
            ActiveMQBlobMessage blob = fill(new ActiveMQBlobMessage());
            blob.setURL(new URL("http://blobs.example/1"));
            blob.setMimeType("image/png");
            blob.setDeletedByBroker(true);
        }
        MessageDispatch dispatch = add(new MessageDispatch());
        dispatch.setConsumerId(consumer);
        dispatch.setDestination(queue);
        dispatch.setMessage(text);
        dispatch.setRedeliveryCounter(2);
    }

    private <M extends Message> M fill(M message) throws IOException {
        add(message);
        message.setProducerId(producer);
        message.setDestination(queue);
        message.setTransactionId(local);
        message.setOriginalDestination(topic);
        MessageId id = messageId(commands);
        if (commands % 3 == 0) {
            id.setTextView("foreign-" + commands);
        }
        message.setMessageId(id);
        message.setOriginalTransactionId(xa);
        message.setGroupID("group");
        message.setGroupSequence(-1);
        message.setCorrelationId("correlation");
        message.setPersistent(true);
        message.setExpiration(1_700_000_060_000L);
        message.setPriority((byte) 9);
        message.setReplyTo(tempQueue);
        message.setTimestamp(1_700_000_000_000L);
        message.setType("type");
        message.setMarshalledProperties(properties());
        message.setTargetConsumerId(consumer);
        message.setRedeliveryCounter(65535);
        message.setBrokerPath(path);
        message.setArrival(1);
        message.setUserID("user");
        message.setRecievedByDFBridge(true);
        message.setDroppable(true);
        message.setCluster(path);
        message.setBrokerInTime(1_700_000_000_001L);
        message.setBrokerOutTime(0xffff_ffffL);
        message.setJMSXGroupFirstForConsumer(true);
        return message;
    }

    /** Every field that can be null is null. */
    List<DataStructure> empty() {
        samples.clear();
        // It makes itself an id.
        SessionInfo noSession = new SessionInfo();
        noSession.setSessionId(null);
        BaseCommand[] commands = {
            new BrokerInfo(), new ConnectionInfo(), noSession, new ConsumerInfo(), new ProducerInfo(),
            new TransactionInfo(), new DestinationInfo(), new RemoveSubscriptionInfo(), new RemoveInfo(),
            new ControlCommand(), new ConnectionError(), new ConsumerControl(), new ConnectionControl(),
            new MessageDispatch(), new MessageAck(), new Response(), new ExceptionResponse(), new DataResponse(),
            new DataArrayResponse(), new MessageDispatchNotification(), new ActiveMQMessage(),
            new ActiveMQTextMessage(), new ActiveMQBytesMessage()
        };
        for (BaseCommand command : commands) {
            samples.add(command);
        }
        if (version >= 3) {
            samples.add(new MessagePull());
            samples.add(new ProducerAck());
            samples.add(new ActiveMQBlobMessage());
        }
        return samples;
    }
}
