import FoundationEssentials
import VNEAgent

/// Denials as `flows --follow --json` writes them: a record a line.
struct DenialFile {
    var records: [DenialRecord]

    init(reading path: String) throws {
        let file = try PolicyText(reading: path)
        let decoder = JSONDecoder()
        records = []
        for (number, line) in file.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard line.contains(where: { !$0.isWhitespace }) else { continue }
            do {
                records.append(try decoder.decode(DenialRecord.self, from: Data(line.utf8)))
            } catch {
                throw AgentError(
                    .failure, "\(file.source):\(number + 1): this is no record of a denial",
                    hint: "record them with: vne-agent flows --follow --json")
            }
        }
    }
}
