// SPDX-License-Identifier: Apache-2.0
package sabir.capture;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.activemq.command.DataStructure;
import org.apache.activemq.command.ProducerId;
import org.apache.activemq.command.ProducerInfo;
import org.apache.activemq.command.WireFormatInfo;
import org.apache.activemq.openwire.OpenWireFormat;
import org.apache.activemq.openwire.OpenWireFormatFactory;
import org.apache.activemq.util.ByteSequence;

/**
 * Marshals every command with the real client and says what the real client reads from the bytes.
 *
 * <pre>
 *   # comment
 *   = version tight cache stack prefix    a new connection begins, with empty caches; cache is its size or 0
 *   d text                                a description; they are numbered from 0 within the file
 *   f number hex                          a frame, with the number of its description
 * </pre>
 */
public final class Capture {
    private final PrintWriter out;
    private final Map<String, Integer> descriptions = new LinkedHashMap<>();

    private Capture(PrintWriter out) {
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        String client = args[1];
        String[] range = args[2].split("-");
        Files.createDirectories(folder);
        for (int version = Integer.parseInt(range[0]); version <= Integer.parseInt(range[1]); version++) {
            StringWriter text = new StringWriter();
            PrintWriter out = new PrintWriter(text);
            out.print("# Written by tests/java/capture with activemq-client " + client + "\n");
            new Capture(out).version(version);
            out.flush();
            Files.writeString(folder.resolve("client-" + client + "-v" + version + ".frames"), text.toString());
        }
    }

    private void version(int version) throws Exception {
        connection(version, true, 0x3fff, true, true, true);
        connection(version, false, 0x3fff, true, true, true);
        connection(version, true, 0, true, true, false);
        connection(version, false, 0, false, true, true);
        if (version == 12) {
            connection(version, true, 0x3fff, true, false, false);
            connection(version, false, 0, true, false, false);
            overflow(true);
            overflow(false);
        }
    }

    private OpenWireFormat begin(int version, boolean tight, int cache, boolean stack, boolean prefix) {
        out.print("= " + version + " " + tight + " " + cache + " " + stack + " " + prefix + "\n");
        return format(version, tight, cache, stack, prefix);
    }

    private static OpenWireFormat format(int version, boolean tight, int cache, boolean stack, boolean prefix) {
        OpenWireFormat format = new OpenWireFormat(version);
        format.setTightEncodingEnabled(tight);
        format.setCacheEnabled(cache > 0);
        format.setStackTraceEnabled(stack);
        format.setSizePrefixDisabled(!prefix);
        return format;
    }

    /** All commands over one connection: full ones, full ones again, empty ones. */
    private void connection(int version, boolean tight, int cache, boolean stack, boolean prefix, boolean empty)
            throws Exception {
        OpenWireFormat writer = begin(version, tight, cache, stack, prefix);
        OpenWireFormat reader = format(version, tight, cache, stack, prefix);
        Samples samples = new Samples(version);
        for (DataStructure sample : samples.full()) {
            frame(writer, reader, sample, stack);
        }
        if (cache > 0) {
            // Now the values come from the cache.
            for (DataStructure sample : samples.messages()) {
                frame(writer, reader, sample, stack);
            }
        }
        if (empty) {
            for (DataStructure sample : samples.empty()) {
                frame(writer, reader, sample, stack);
            }
        }
        if (prefix && !tight && cache == 0) {
            frame(writer, reader, wireFormatInfo(version), stack);
        }
    }

    /** More values than the cache holds. */
    private void overflow(boolean tight) throws Exception {
        int size = 128;
        OpenWireFormat writer = begin(12, tight, size, true, true);
        OpenWireFormat reader = format(12, tight, size, true, true);
        for (OpenWireFormat format : new OpenWireFormat[] {writer, reader}) {
            WireFormatInfo info = new WireFormatInfo();
            info.setVersion(12);
            info.setTightEncodingEnabled(tight);
            info.setCacheEnabled(true);
            info.setCacheSize(size);
            info.setStackTraceEnabled(true);
            info.setMaxFrameSize(Long.MAX_VALUE);
            format.setPreferedWireFormatInfo(info);
            WireFormatInfo other = new WireFormatInfo();
            other.setVersion(12);
            other.setTightEncodingEnabled(tight);
            other.setCacheEnabled(true);
            other.setCacheSize(size);
            other.setStackTraceEnabled(true);
            other.setMaxFrameSize(Long.MAX_VALUE);
            format.renegotiateWireFormat(other);
        }
        for (int i = 0; i < 200; i++) {
            ProducerInfo info = new ProducerInfo();
            // Every third is one that came before.
            info.setProducerId(new ProducerId(Samples.CONNECTION + ":" + (i % 3 == 0 ? i / 9 : i)));
            frame(writer, reader, info, true);
        }
    }

    private static WireFormatInfo wireFormatInfo(int version) throws IOException {
        OpenWireFormatFactory factory = new OpenWireFormatFactory();
        factory.setVersion(version);
        factory.setHost("broker.example");
        WireFormatInfo info =
                ((OpenWireFormat) factory.createWireFormat()).getPreferedWireFormatInfo();
        info.setProviderVersion("5.x");
        info.setPlatformDetails("Java");
        return info;
    }

    private void frame(OpenWireFormat writer, OpenWireFormat reader, DataStructure sample, boolean stack)
            throws Exception {
        ByteSequence bytes = writer.marshal(sample);
        byte[] frame = new byte[bytes.getLength()];
        System.arraycopy(bytes.getData(), bytes.getOffset(), frame, 0, frame.length);
        String text = new Describe(stack).whole((DataStructure) reader.unmarshal(new ByteSequence(frame)));
        Integer number = descriptions.get(text);
        if (number == null) {
            number = descriptions.size();
            descriptions.put(text, number);
            out.print("d " + text + "\n");
        }
        out.print("f " + number + " " + HexFormat.of().formatHex(frame) + "\n");
    }
}
