// SPDX-License-Identifier: Apache-2.0
package sabir.selectors;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import javax.jms.InvalidSelectorException;
import javax.jms.JMSException;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.filter.BooleanExpression;
import org.apache.activemq.filter.MessageEvaluationContext;
import org.apache.activemq.selector.SelectorParser;

/**
 * Asks ActiveMQ's own evaluator what selectors are of messages, and writes it down.
 *
 * <p>The selectors are those of the file `cases`, and every pair of a few operands with every operator.
 */
public final class Expected {
    private static final String HEADING = """
            # What ActiveMQ's own evaluator (activemq-client 5.18.7, org.apache.activemq.selector.SelectorParser) says of selectors.
            # Made by the program in this folder, and checked by its test: see ../README.md.
            #
            # Fields are parted by tabs; texts are in ASCII, with \\\\, \\t, \\n, \\r and \\uXXXX (UTF-16) for what is not.
            #   set   MESSAGE  NAME  TYPE  VALUE   a header or property of a message; TYPE header is one of the headers of JMS
            #   case  MESSAGE  RESULT  SELECTOR    RESULT: true, false, unknown;
            #                                      error: the selector is refused; fails: evaluating it throws
            # A message for which nothing is set is persistent and of priority 4.
            """;

    /** Operands of comparisons: properties of every type, what is not there, and literals. */
    private static final String[] OPERANDS = {"byte", "int", "long", "float", "double", "name", "digits", "yes", "absent",
        "100", "1.5", "'James'", "'42'", "TRUE"};
    private static final String[] COMPARISONS = {"=", "<>", "<", "<=", ">", ">="};
    private static final String[] NUMBERS = {"byte", "int", "double", "absent", "zero", "7", "2.5"};
    private static final String[] ARITHMETIC = {"+", "-", "*", "/", "%"};
    private static final String[] TRUTHS = {"yes", "no", "absent", "TRUE", "FALSE", "int = 100", "absent = 1"};

    private Expected() {}

    public static void main(String[] arguments) throws IOException, JMSException {
        Files.writeString(Path.of(arguments[0]), write(), StandardCharsets.US_ASCII);
    }

    /** The whole file. */
    static String write() throws IOException, JMSException {
        StringBuilder out = new StringBuilder(HEADING);
        Map<String, Map<String, Samples.Item>> samples = Samples.all();
        samples.forEach((message, items) -> items.forEach((name, item) -> line(out, "set", message, name, item.type(),
                item.value().toString())));
        for (Map.Entry<String, Map<String, Samples.Item>> sample : samples.entrySet()) {
            ActiveMQMessage message = Samples.message(sample.getValue());
            for (String selector : selectors(sample.getKey())) {
                line(out, "case", sample.getKey(), result(message, selector), selector);
            }
        }
        return out.toString();
    }

    /** What ActiveMQ says of a selector for a message. */
    static String result(ActiveMQMessage message, String selector) {
        BooleanExpression expression;
        try {
            expression = SelectorParser.parse(selector);
        } catch (InvalidSelectorException error) {
            return "error";
        }
        try {
            MessageEvaluationContext context = new MessageEvaluationContext();
            context.setMessageReference(message);
            Object value = expression.evaluate(context);
            // What is neither: the broker delivers such a message no more than one of which nothing is known.
            return value == null ? "unknown" : value == Boolean.TRUE ? "true" : "false";
        } catch (JMSException | RuntimeException error) {
            return "fails";
        }
    }

    private static Set<String> selectors(String message) throws IOException {
        Set<String> selectors = new LinkedHashSet<>();
        String current = "";
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(
                Expected.class.getResourceAsStream("cases"), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (line.startsWith("@")) {
                    current = line.substring(1);
                } else if (!line.isBlank() && !line.startsWith("#") && current.equals(message)) {
                    selectors.add(line.replace("\\n", "\n"));
                }
            }
        }
        if (message.equals("order")) {
            pairs(selectors, OPERANDS, COMPARISONS, "%s %s %s");
            pairs(selectors, TRUTHS, new String[] {"AND", "OR"}, "%s %s %s");
            pairs(selectors, NUMBERS, ARITHMETIC, "(%s %s %s) > 3");
        }
        return selectors;
    }

    private static void pairs(Set<String> selectors, String[] operands, String[] operators, String pattern) {
        for (String left : operands) {
            for (String right : operands) {
                for (String operator : operators) {
                    selectors.add(pattern.formatted(left, operator, right));
                }
            }
        }
    }

    private static void line(StringBuilder out, String... fields) {
        for (int index = 0; index < fields.length; index++) {
            out.append(index == 0 ? "" : "\t").append(escape(fields[index]));
        }
        out.append('\n');
    }

    private static String escape(String text) {
        StringBuilder out = new StringBuilder();
        for (char character : text.toCharArray()) {
            switch (character) {
                case '\\' -> out.append("\\\\");
                case '\t' -> out.append("\\t");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                default -> out.append(character >= ' ' && character < 127 ? Character.toString(character)
                        : "\\u%04x".formatted((int) character));
            }
        }
        return out.toString();
    }
}
