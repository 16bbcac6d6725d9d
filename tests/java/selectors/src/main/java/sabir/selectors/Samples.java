// SPDX-License-Identifier: Apache-2.0
package sabir.selectors;

import java.util.LinkedHashMap;
import java.util.Map;
import javax.jms.JMSException;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQTextMessage;

/** The messages that selectors are evaluated for: name, then headers and properties with their types. */
final class Samples {
    /** One header or property: its type as the file spells it, and its value. */
    record Item(String type, Object value) {}

    private Samples() {}

    static Map<String, Map<String, Item>> all() {
        Map<String, Map<String, Item>> samples = new LinkedHashMap<>();
        samples.put("order", order());
        samples.put("texts", texts());
        samples.put("bare", new LinkedHashMap<>());
        return samples;
    }

    /** One with everything. */
    private static Map<String, Item> order() {
        Map<String, Item> items = new LinkedHashMap<>();
        items.put("JMSMessageID", new Item("header", "ID:host-1:1:1:1:7"));
        items.put("JMSDestination", new Item("header", "queue://ORDERS.EU"));
        items.put("JMSReplyTo", new Item("header", "queue://REPLIES"));
        items.put("JMSCorrelationID", new Item("header", "order-9"));
        items.put("JMSType", new Item("header", "order"));
        items.put("JMSXGroupID", new Item("header", "customer-5"));
        items.put("JMSXGroupSeq", new Item("header", 3));
        items.put("JMSXUserID", new Item("header", "ann"));
        items.put("JMSPriority", new Item("header", 6));
        items.put("JMSTimestamp", new Item("header", 1_700_000_000_000L));
        items.put("JMSExpiration", new Item("header", 1_700_000_060_000L));
        items.put("JMSDeliveryMode", new Item("header", "PERSISTENT"));
        items.put("byte", new Item("byte", (byte) 12));
        items.put("short", new Item("short", (short) -300));
        items.put("int", new Item("int", 100));
        items.put("zero", new Item("int", 0));
        items.put("long", new Item("long", 5_000_000_000L));
        items.put("float", new Item("float", 1.5f));
        items.put("double", new Item("double", 2.25));
        items.put("yes", new Item("boolean", true));
        items.put("no", new Item("boolean", false));
        items.put("name", new Item("text", "James"));
        items.put("same", new Item("text", "James"));
        items.put("other", new Item("text", "Kate"));
        items.put("quote", new Item("text", "it's 100%_ok"));
        items.put("empty", new Item("text", ""));
        items.put("lines", new Item("text", "one\ntwo"));
        items.put("digits", new Item("text", "42"));
        items.put("decimal", new Item("text", "4.5"));
        items.put("words", new Item("text", "true"));
        items.put("st\u00e4dte", new Item("text", "K\u00f6ln"));
        items.put("$price_1", new Item("int", 7));
        items.put("_under", new Item("int", 8));
        return items;
    }

    /** One whose properties are all text, as protocols without types send them. */
    private static Map<String, Item> texts() {
        Map<String, Item> items = new LinkedHashMap<>();
        items.put("JMSPriority", new Item("header", 4));
        items.put("JMSDeliveryMode", new Item("header", "NON_PERSISTENT"));
        items.put("quantity", new Item("text", "10"));
        items.put("negative", new Item("text", "-7"));
        items.put("price", new Item("text", "9.50"));
        items.put("big", new Item("text", "9223372036854775807"));
        items.put("urgent", new Item("text", "true"));
        items.put("loud", new Item("text", "TRUE"));
        items.put("off", new Item("text", "false"));
        items.put("word", new Item("text", "apple"));
        items.put("empty", new Item("text", ""));
        items.put("padded", new Item("text", " 10 "));
        return items;
    }

    static ActiveMQMessage message(Map<String, Item> items) throws JMSException {
        ActiveMQTextMessage message = new ActiveMQTextMessage();
        message.setJMSDeliveryMode(2);
        message.setJMSPriority(4);
        for (Map.Entry<String, Item> item : items.entrySet()) {
            if (item.getValue().type().equals("header")) {
                header(message, item.getKey(), item.getValue().value());
            } else {
                message.setObjectProperty(item.getKey(), item.getValue().value());
            }
        }
        return message;
    }

    private static void header(ActiveMQMessage message, String name, Object value) throws JMSException {
        switch (name) {
            case "JMSMessageID" -> message.setJMSMessageID((String) value);
            case "JMSDestination" -> message.setJMSDestination(destination(value));
            case "JMSReplyTo" -> message.setJMSReplyTo(destination(value));
            case "JMSCorrelationID" -> message.setJMSCorrelationID((String) value);
            case "JMSType" -> message.setJMSType((String) value);
            case "JMSXGroupID" -> message.setGroupID((String) value);
            case "JMSXGroupSeq" -> message.setGroupSequence((Integer) value);
            case "JMSXUserID" -> message.setUserID((String) value);
            case "JMSPriority" -> message.setJMSPriority((Integer) value);
            case "JMSTimestamp" -> message.setJMSTimestamp((Long) value);
            case "JMSExpiration" -> message.setJMSExpiration((Long) value);
            case "JMSDeliveryMode" -> message.setJMSDeliveryMode(value.equals("PERSISTENT") ? 2 : 1);
            default -> throw new IllegalArgumentException(name);
        }
    }

    private static ActiveMQDestination destination(Object name) {
        return ActiveMQDestination.createDestination((String) name, ActiveMQDestination.QUEUE_TYPE);
    }
}
