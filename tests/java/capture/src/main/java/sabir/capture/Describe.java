// SPDX-License-Identifier: Apache-2.0
package sabir.capture;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.BaseCommand;
import org.apache.activemq.command.BrokerId;
import org.apache.activemq.command.ConnectionId;
import org.apache.activemq.command.ConsumerId;
import org.apache.activemq.command.DataStructure;
import org.apache.activemq.command.LocalTransactionId;
import org.apache.activemq.command.Message;
import org.apache.activemq.command.MessageId;
import org.apache.activemq.command.ProducerId;
import org.apache.activemq.command.SessionId;
import org.apache.activemq.command.WireFormatInfo;
import org.apache.activemq.command.XATransactionId;
import org.apache.activemq.util.ByteSequence;

/** Describes what Java read, in the words in which Rust prints the same (its «Debug»). */
final class Describe {
    /** The name of a struct, and its fields: the name in Rust and the getter in Java, and how it is shown. */
    private static final Map<String, String[]> FIELDS = new LinkedHashMap<>();

    private static void fields(String name, String... fields) {
        FIELDS.put(name, fields);
    }

    static {
        fields("BrokerInfo", "broker_id getBrokerId", "broker_url getBrokerURL",
                "peer_broker_infos getPeerBrokerInfos", "broker_name getBrokerName", "slave_broker isSlaveBroker",
                "master_broker isMasterBroker", "fault_tolerant_configuration isFaultTolerantConfiguration",
                "duplex_connection isDuplexConnection", "network_connection isNetworkConnection",
                "connection_id getConnectionId", "broker_upload_url getBrokerUploadUrl",
                "network_properties getNetworkProperties");
        fields("ConnectionInfo", "connection_id getConnectionId", "client_id getClientId", "password getPassword",
                "user_name getUserName", "broker_path getBrokerPath",
                "broker_master_connector isBrokerMasterConnector", "manageable isManageable",
                "client_master isClientMaster", "fault_tolerant isFaultTolerant",
                "failover_reconnect isFailoverReconnect", "client_ip getClientIp");
        fields("SessionInfo", "session_id getSessionId");
        fields("ConsumerInfo", "consumer_id getConsumerId", "browser isBrowser", "destination getDestination",
                "prefetch_size getPrefetchSize", "maximum_pending_message_limit getMaximumPendingMessageLimit",
                "dispatch_async isDispatchAsync", "selector getSelector", "client_id getClientId",
                "subscription_name getSubscriptionName", "no_local isNoLocal", "exclusive isExclusive",
                "retroactive isRetroactive", "priority getPriority", "broker_path getBrokerPath",
                "additional_predicate getAdditionalPredicate", "network_subscription isNetworkSubscription",
                "optimized_acknowledge isOptimizedAcknowledge", "no_range_acks isNoRangeAcks",
                "network_consumer_path getNetworkConsumerPath");
        fields("ProducerInfo", "producer_id getProducerId", "destination getDestination",
                "broker_path getBrokerPath", "dispatch_async isDispatchAsync", "window_size getWindowSize");
        fields("TransactionInfo", "connection_id getConnectionId", "transaction_id getTransactionId",
                "kind getType");
        fields("DestinationInfo", "connection_id getConnectionId", "destination getDestination",
                "operation_type getOperationType", "timeout getTimeout", "broker_path getBrokerPath");
        fields("RemoveSubscriptionInfo", "connection_id getConnectionId",
                "subscription_name getSubscriptionName", "client_id getClientId");
        fields("KeepAliveInfo");
        fields("ShutdownInfo");
        fields("RemoveInfo", "object_id getObjectId object",
                "last_delivered_sequence_id getLastDeliveredSequenceId");
        fields("ControlCommand", "command getCommand");
        fields("FlushCommand");
        fields("ConnectionError", "exception getException", "connection_id getConnectionId");
        fields("ConsumerControl", "destination getDestination", "close isClose", "consumer_id getConsumerId",
                "prefetch getPrefetch", "flush isFlush", "start isStart", "stop isStop");
        fields("ConnectionControl", "close isClose", "exit isExit", "fault_tolerant isFaultTolerant",
                "resume isResume", "suspend isSuspend", "connected_brokers getConnectedBrokers",
                "reconnect_to getReconnectTo", "rebalance_connection isRebalanceConnection", "token getToken");
        fields("ProducerAck", "producer_id getProducerId", "size getSize");
        fields("MessagePull", "consumer_id getConsumerId", "destination getDestination", "timeout getTimeout",
                "correlation_id getCorrelationId", "message_id getMessageId");
        fields("MessageDispatch", "consumer_id getConsumerId", "destination getDestination",
                "message getMessage", "redelivery_counter getRedeliveryCounter");
        fields("MessageAck", "destination getDestination", "transaction_id getTransactionId",
                "consumer_id getConsumerId", "ack_type getAckType", "first_message_id getFirstMessageId",
                "last_message_id getLastMessageId", "message_count getMessageCount",
                "poison_cause getPoisonCause");
        fields("Response", "correlation_id getCorrelationId");
        fields("ExceptionResponse", "correlation_id getCorrelationId", "exception getException");
        fields("DataResponse", "correlation_id getCorrelationId", "data getData structure");
        fields("DataArrayResponse", "correlation_id getCorrelationId", "data getData structure");
        fields("IntegerResponse", "correlation_id getCorrelationId", "result getResult");
        fields("ReplayCommand", "first_nak_number getFirstNakNumber", "last_nak_number getLastNakNumber");
        fields("MessageDispatchNotification", "consumer_id getConsumerId", "destination getDestination",
                "delivery_sequence_id getDeliverySequenceId", "message_id getMessageId");
        fields("BrokerSubscriptionInfo", "broker_id getBrokerId", "broker_name getBrokerName",
                "subscription_infos getSubscriptionInfos");
        fields("PartialCommand", "command_id getCommandId", "data getData blob");
        fields("LastPartialCommand", "command_id getCommandId", "data getData blob");
        fields("SubscriptionInfo", "client_id getClientId", "destination getDestination", "selector getSelector",
                "subscription_name getSubscriptionName", "subscribed_destination .subscribedDestination",
                "no_local isNoLocal");
        fields("NetworkBridgeFilter", "network_broker_id getNetworkBrokerId", "message_ttl getMessageTTL",
                "consumer_ttl getConsumerTTL");
        fields("DiscoveryEvent", "service_name getServiceName", "broker_name getBrokerName");
        fields("JournalTopicAck", "destination getDestination", "message_id getMessageId",
                "message_sequence_id getMessageSequenceId", "subscription_name getSubscritionName",
                "client_id getClientId", "transaction_id getTransactionId");
        fields("JournalQueueAck", "destination getDestination", "message_ack getMessageAck");
        fields("JournalTrace", "message getMessage");
        fields("JournalTransaction", "transaction_id getTransactionId", "kind getType",
                "was_prepared getWasPrepared");
        fields("ConnectionId", "value getValue plain");
        fields("SessionId", "connection_id getConnectionId plain", "value getValue");
        fields("ConsumerId", "connection_id getConnectionId plain", "session_id getSessionId",
                "value getValue");
        fields("ProducerId", "connection_id getConnectionId plain", "value getValue",
                "session_id getSessionId");
        fields("BrokerId", "value getValue plain");
        fields("MessageId", "text_view getTextView", "producer_id getProducerId",
                "producer_sequence_id getProducerSequenceId", "broker_sequence_id getBrokerSequenceId");
        fields("LocalTransactionId", "value getValue", "connection_id getConnectionId");
        fields("XATransactionId", "format_id getFormatId", "global_transaction_id getGlobalTransactionId plain",
                "branch_qualifier getBranchQualifier plain");
        fields("Message", "producer_id getProducerId", "destination getDestination",
                "transaction_id getTransactionId", "original_destination getOriginalDestination",
                "message_id getMessageId", "original_transaction_id getOriginalTransactionId",
                "group_id getGroupID", "group_sequence getGroupSequence", "correlation_id getCorrelationId",
                "persistent isPersistent", "expiration getExpiration", "priority getPriority",
                "reply_to getReplyTo", "timestamp getTimestamp", "message_type getType",
                "content getContent blob", "marshalled_properties getMarshalledProperties blob",
                "data_structure getDataStructure structure", "target_consumer_id getTargetConsumerId",
                "compressed isCompressed", "redelivery_counter getRedeliveryCounter",
                "broker_path getBrokerPath", "arrival getArrival", "user_id getUserID",
                "received_by_df_bridge isRecievedByDFBridge", "droppable isDroppable", "cluster getCluster",
                "broker_in_time getBrokerInTime", "broker_out_time getBrokerOutTime",
                "jmsx_group_first_for_consumer isJMSXGroupFirstForConsumer");
    }

    private final boolean stack;

    Describe(boolean stack) {
        this.stack = stack;
    }

    /** A frame: the variant, then what is in it. */
    String whole(DataStructure value) throws Exception {
        if (value instanceof Message) {
            return "Message(" + structure(value) + ")";
        }
        return value.getClass().getSimpleName() + "(" + structure(value) + ")";
    }

    private String structure(DataStructure value) throws Exception {
        if (value instanceof ActiveMQDestination destination) {
            String kind = destination.getClass().getSimpleName().substring("ActiveMQ".length());
            return "Destination { kind: " + kind + ", physical_name: " + text(destination.getPhysicalName()) + " }";
        }
        if (value instanceof WireFormatInfo info) {
            return wireFormatInfo(info);
        }
        boolean message = value instanceof Message;
        String name = message ? "Message" : value.getClass().getSimpleName();
        String[] fields = FIELDS.get(name);
        if (fields == null) {
            throw new IllegalStateException("no fields of " + name);
        }
        StringBuilder text = new StringBuilder(name.equals("XATransactionId") ? "XaTransactionId" : name);
        String between = " { ";
        if (value instanceof BaseCommand command) {
            text.append(between).append("command_id: ").append(command.getCommandId());
            text.append(", response_required: ").append(command.isResponseRequired());
            between = ", ";
        }
        if (message) {
            text.append(", kind: ").append(kind(value));
        }
        for (String field : fields) {
            String[] words = field.split(" ");
            text.append(between).append(words[0]).append(": ");
            text.append(value(getter(value, words[1]), words.length > 2 ? words[2] : ""));
            between = ", ";
        }
        if (message) {
            text.append(", remote_blob: ").append(remoteBlob(value));
        }
        return text.append(" }").toString();
    }

    private record Got(Object value, Class<?> type) {}

    private static Got getter(Object from, String name) throws Exception {
        if (name.startsWith(".")) {
            // The getter answers with another field where this one is null.
            Field field = from.getClass().getDeclaredField(name.substring(1));
            field.setAccessible(true);
            return new Got(field.get(from), field.getType());
        }
        Method method = from.getClass().getMethod(name);
        return new Got(method.invoke(from), method.getReturnType());
    }

    private static String kind(DataStructure message) {
        String name = message.getClass().getSimpleName();
        String kind = name.substring("ActiveMQ".length(), name.length() - "Message".length());
        return kind.isEmpty() ? "Plain" : kind;
    }

    private String remoteBlob(DataStructure message) throws Exception {
        if (!kind(message).equals("Blob")) {
            return "None";
        }
        return "Some(RemoteBlob { remote_blob_url: " + value(getter(message, "getRemoteBlobUrl"), "")
                + ", mime_type: " + value(getter(message, "getMimeType"), "")
                + ", deleted_by_broker: " + value(getter(message, "isDeletedByBroker"), "") + " })";
    }

    private String wireFormatInfo(WireFormatInfo info) throws Exception {
        StringBuilder text = new StringBuilder("WireFormatInfo { version: " + info.getVersion());
        for (Map.Entry<String, Object> entry : new TreeMap<>(info.getProperties()).entrySet()) {
            Object value = entry.getValue();
            boolean number = value instanceof Number || value instanceof Boolean;
            text.append(", ").append(entry.getKey()).append(": ");
            text.append(number ? value.toString() : text(value.toString()));
        }
        return text.append(" }").toString();
    }

    private String value(Got got, String how) throws Exception {
        if (got.type().isPrimitive()) {
            return got.value().toString();
        }
        if (got.value() == null) {
            return "None";
        }
        String text = object(got.value(), how);
        return how.equals("plain") ? text : "Some(" + text + ")";
    }

    private String object(Object value, String how) throws Exception {
        if (value instanceof String text) {
            return text(text);
        }
        if (value instanceof ByteSequence bytes) {
            return "Own(" + bytes(bytes.getData(), bytes.getOffset(), bytes.getLength()) + ")";
        }
        if (value instanceof byte[] bytes) {
            return how.equals("blob") ? "Own(" + bytes(bytes, 0, bytes.length) + ")" : numbers(bytes);
        }
        if (value instanceof Throwable throwable) {
            return throwable(throwable);
        }
        if (value instanceof DataStructure[] array) {
            StringBuilder text = new StringBuilder("[");
            for (DataStructure element : array) {
                text.append(text.length() > 1 ? ", " : "").append(object(element, how));
            }
            return text.append("]").toString();
        }
        DataStructure structure = (DataStructure) value;
        String text = structure(structure);
        return switch (how) {
            case "object" -> id(structure, text);
            case "structure" -> dataStructure(structure, text);
            default -> transaction(structure, text);
        };
    }

    private static String transaction(DataStructure value, String text) {
        if (value instanceof LocalTransactionId) {
            return "Local(" + text + ")";
        }
        return value instanceof XATransactionId ? "Xa(" + text + ")" : text;
    }

    private static String id(DataStructure value, String text) {
        if (value instanceof ConnectionId) {
            return "Connection(" + text + ")";
        } else if (value instanceof SessionId) {
            return "Session(" + text + ")";
        } else if (value instanceof ConsumerId) {
            return "Consumer(" + text + ")";
        } else if (value instanceof ProducerId) {
            return "Producer(" + text + ")";
        } else if (value instanceof BrokerId) {
            return "Broker(" + text + ")";
        } else if (value instanceof ActiveMQDestination) {
            return "Destination(" + text + ")";
        } else if (value instanceof LocalTransactionId || value instanceof XATransactionId) {
            return "Transaction(" + transaction(value, text) + ")";
        }
        return null;
    }

    private static String dataStructure(DataStructure value, String text) {
        String id = id(value, text);
        if (id != null) {
            return "Id(" + id + ")";
        }
        String name = value.getClass().getSimpleName();
        if (value instanceof MessageId || !(value instanceof BaseCommand)) {
            return name + "(" + text + ")";
        }
        return "Command(" + (value instanceof Message ? "Message" : name) + "(" + text + "))";
    }

    private String throwable(Throwable throwable) {
        StringBuilder text = new StringBuilder("Throwable { class: " + text(throwable.getClass().getName()));
        String message = throwable.getMessage();
        text.append(", message: ").append(message == null ? "None" : "Some(" + text(message) + ")");
        text.append(", stack: [");
        String between = "";
        for (StackTraceElement element : stack ? throwable.getStackTrace() : new StackTraceElement[0]) {
            text.append(between).append("StackFrame { class: Some(").append(text(element.getClassName()));
            text.append("), method: Some(").append(text(element.getMethodName())).append("), file: ");
            String file = element.getFileName();
            text.append(file == null ? "None" : "Some(" + text(file) + ")");
            text.append(", line: ").append(element.getLineNumber()).append(" }");
            between = ", ";
        }
        Throwable cause = stack ? throwable.getCause() : null;
        text.append("], cause: ").append(cause == null ? "None" : "Some(" + throwable(cause) + ")");
        return text.append(" }").toString();
    }

    private static String text(String value) {
        StringBuilder text = new StringBuilder("\"");
        value.codePoints().forEach(code -> {
            switch (code) {
                case 0 -> text.append("\\0");
                case '"' -> text.append("\\\"");
                case '\\' -> text.append("\\\\");
                case '\n' -> text.append("\\n");
                default -> text.appendCodePoint(code);
            }
        });
        return text.append("\"").toString();
    }

    private static String bytes(byte[] data, int offset, int length) {
        StringBuilder text = new StringBuilder("b\"");
        for (int i = offset; i < offset + length; i++) {
            int b = data[i] & 0xff;
            switch (b) {
                case 0 -> text.append("\\0");
                case '\n' -> text.append("\\n");
                case '\r' -> text.append("\\r");
                case '\t' -> text.append("\\t");
                case '"' -> text.append("\\\"");
                case '\\' -> text.append("\\\\");
                default -> {
                    if (b >= 0x20 && b < 0x7f) {
                        text.append((char) b);
                    } else {
                        text.append(String.format("\\x%02x", b));
                    }
                }
            }
        }
        return text.append("\"").toString();
    }

    private static String numbers(byte[] bytes) {
        StringBuilder text = new StringBuilder("[");
        for (byte b : bytes) {
            text.append(text.length() > 1 ? ", " : "").append(b & 0xff);
        }
        return text.append("]").toString();
    }
}
