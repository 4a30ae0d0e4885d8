// Reads and prints text format with Java's own library: `java TextFormatPeer DIRECTORY`.
// DIRECTORY/ours.txt (text of a corpus.Corpus) is parsed into java.binpb; ours.binpb and unknown.binpb are printed in all of Java's styles.

import com.google.protobuf.Empty;
import com.google.protobuf.TextFormat;
import com.google.protobuf.TypeRegistry;
import corpus.CorpusOuterClass.Corpus;
import corpus.CorpusOuterClass.Everything;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

public class TextFormatPeer {
  public static void main(String[] arguments) throws Exception {
    Path directory = Path.of(arguments[0]);
    Corpus corpus = Corpus.parseFrom(Files.readAllBytes(directory.resolve("ours.binpb")));
    TypeRegistry types =
        TypeRegistry.newBuilder()
            .add(Everything.getDescriptor())
            .add(ops.OperationsOuterClass.Operation.getDescriptor())
            .build();

    Map<String, String> styles = new HashMap<>();
    styles.put("toString", corpus.toString());
    styles.put("printer", TextFormat.printer().printToString(corpus));
    styles.put("unescaped", TextFormat.printer().escapingNonAscii(false).printToString(corpus));
    styles.put("short", TextFormat.shortDebugString(corpus));
    styles.put("expandedAny", TextFormat.printer().usingTypeRegistry(types).printToString(corpus));
    styles.put("numbers", Empty.parseFrom(Files.readAllBytes(directory.resolve("unknown.binpb"))).toString());
    for (Map.Entry<String, String> style : styles.entrySet()) {
      Files.writeString(directory.resolve("java." + style.getKey() + ".txt"), style.getValue());
    }

    Corpus.Builder read = Corpus.newBuilder();
    TextFormat.merge(Files.readString(directory.resolve("ours.txt"), StandardCharsets.UTF_8), read);
    Files.write(directory.resolve("java.binpb"), read.build().toByteArray());
  }
}
