/// A value and where the file has it.
package struct Marked<Value> {
    package var value: Value
    package var mark: YAMLMark

    package init(value: Value, mark: YAMLMark) {
        self.value = value
        self.mark = mark
    }
}

extension Marked: Sendable where Value: Sendable {}

/// What turns the nodes of a file into values, and collects what is wrong with them: the policy file's reader, and the
/// topology file's.
///
/// Every function that reads a node returns nil when it has reported an error, and goes on where it can, so that one
/// run finds all errors. Checks between parts of the file come last, and look only at what could be read, so that one
/// mistake is one message.
package protocol DocumentReader {
    /// What was found so far.
    var errors: [DocumentError] { get set }
    var nearest: NearestWord { get set }

    /// Keys of later versions: known, so that the message is not about spelling.
    static var unbuiltKeys: [String] { get }

    /// A reader that found nothing yet.
    init()
}

extension DocumentReader {
    /// Reads a file whole: what `read` makes of its document, or all that is wrong with it.
    /// - Parameters:
    ///   - kind: such as “policy file”, for messages.
    ///   - source: the file's name, for messages.
    package static func parse<Value>(
        _ bytes: [UInt8], kind: String, source: String, _ read: (inout Self, YAMLNode?) -> Value?
    ) throws(DocumentErrors) -> Value {
        let document = YAMLDocument(bytes, kind: kind)
        var reader = Self()
        reader.errors = document.errors
        let value = read(&reader, document.root)
        guard let value, reader.errors.isEmpty else {
            throw DocumentErrors(source: source, errors: reader.sortedErrors)
        }
        return value
    }

    /// In the order of the file.
    package var sortedErrors: [DocumentError] {
        errors.enumerated()
            .sorted {
                ($0.element.line, $0.element.column, $0.offset) < ($1.element.line, $1.element.column, $1.offset)
            }
            .map(\.element)
    }

    package mutating func report(_ mark: YAMLMark, _ message: String, suggestion: String? = nil) {
        errors.append(DocumentError(at: mark, message, suggestion: suggestion))
    }

    /// Reports that a node is not what it should be; nothing for one that was reported already.
    package mutating func expected(_ what: String, at node: YAMLNode, suggestion: String? = nil) {
        guard node.content != .refused else { return }
        report(node.mark, "expected \(what); found \(node.found)", suggestion: suggestion)
    }

    // MARK: Scalars

    /// A text that is not empty.
    package mutating func text(_ node: YAMLNode, expected what: String) -> String? {
        guard case .scalar(let text, _) = node.content, !text.isEmpty else {
            expected(what, at: node)
            return nil
        }
        return text
    }

    /// One of some words.
    package mutating func word<Word: RawRepresentable & CaseIterable>(
        _ node: YAMLNode, of type: Word.Type
    ) -> Word? where Word.RawValue == String {
        let words = type.allCases.map(\.rawValue)
        let what = Self.either(words)
        guard let text = text(node, expected: what) else { return nil }
        guard let word = Word(rawValue: text) else {
            expected(what, at: node, suggestion: nearest.find(text, in: words))
            return nil
        }
        return word
    }

    /// `true` or `false`, without quotes.
    /// - Parameter what: these two words, and others that the caller takes.
    package mutating func flag(_ node: YAMLNode, expected what: String = "true or false") -> Bool? {
        switch node.content {
        case .scalar("true", plain: true):
            return true
        case .scalar("false", plain: true):
            return false
        case .scalar("true", plain: false), .scalar("false", plain: false):
            expected("\(what), without quotes", at: node)
        case .scalar(let text, _):
            let suggestion: String? =
                switch text.lowercased() {
                case "true", "yes", "on", "y", "1": "true"
                case "false", "no", "off", "n", "0": "false"
                default: nearest.find(text, in: ["true", "false"])
                }
            expected(what, at: node, suggestion: suggestion)
        default:
            expected(what, at: node)
        }
        return nil
    }

    /// A name of an environment or an application.
    package mutating func name(_ node: YAMLNode) -> String? {
        guard let text = text(node, expected: "a name") else { return nil }
        guard text.isName else {
            expected("a name: \(String.nameRule)", at: node)
            return nil
        }
        return text
    }

    package static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// `a, b or c`.
    package static func either(_ words: [String], _ conjunction: String = "or") -> String {
        guard let last = words.last, words.count > 1 else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " \(conjunction) " + last
    }

    // MARK: Lists and mappings

    /// The items of a list, or the one value that stands for a list of itself; an empty list is an error.
    package mutating func items(_ node: YAMLNode, expected what: String, orMapping: Bool = false) -> [YAMLNode]? {
        switch node.content {
        case .sequence([]):
            report(node.mark, "expected \(what); found an empty list")
            return nil
        case .sequence(let items):
            return items
        case .scalar(let text, let plain) where !(text.isEmpty && plain):
            return [node]
        case .mapping where orMapping:
            return [node]
        default:
            expected(what, at: node)
            return nil
        }
    }

    /// The entries of a mapping, each key once.
    package mutating func entries(_ node: YAMLNode, expected what: String) -> [(key: Marked<String>, value: YAMLNode)]?
    {
        guard case .mapping(let entries) = node.content else {
            expected(what, at: node)
            return nil
        }
        var lines: [String: Int] = [:]
        var found: [(key: Marked<String>, value: YAMLNode)] = []
        found.reserveCapacity(entries.count)
        for entry in entries {
            guard case .scalar(let key, _) = entry.key.content else {
                expected("a word as key", at: entry.key)
                continue
            }
            if let line = lines[key] {
                report(entry.key.mark, "\(key.quoted) is there twice, first at line \(line)")
                continue
            }
            lines[key] = entry.key.mark.line
            found.append((Marked(value: key, mark: entry.key.mark), entry.value))
        }
        return found
    }

    /// The entries of a mapping with known keys; others are reported.
    package mutating func fields(_ node: YAMLNode, expected what: String, keys: [String]) -> Fields? {
        guard let entries = entries(node, expected: what) else { return nil }
        var fields = Fields(mark: node.mark)
        for (key, value) in entries {
            if keys.contains(key.value) {
                fields.values[key.value] = value
                fields.marks[key.value] = key.mark
            } else if Self.unbuiltKeys.contains(key.value) {
                report(key.mark, "\(key.value.quoted) is not built in this version")
            } else {
                let suggestion = nearest.find(key.value, in: keys)
                if let suggestion {
                    fields.misspelt.insert(suggestion)
                }
                report(
                    key.mark, "unknown key \(key.value.quoted); expected \(Self.either(keys))",
                    suggestion: suggestion)
            }
        }
        return fields
    }

    /// Reports that a key is missing, unless another one was reported that may have been meant for it.
    package mutating func require(_ key: String, in fields: Fields, of what: String, at mark: YAMLMark? = nil) {
        guard fields.values[key] == nil, !fields.misspelt.contains(key) else { return }
        report(mark ?? fields.mark, "\(what) has no \(key.quoted)")
    }
}

extension String {
    /// Whether it may name an environment, an application, a network or a node.
    package var isName: Bool {
        (1...63).contains(utf8.count) && first != "-" && first != "."
            && utf8.allSatisfy { PolicyReader.isLetterOrDigit($0) || $0 == 45 || $0 == 95 || $0 == 46 }
    }

    /// What ``isName`` takes.
    package static let nameRule = "letters, digits, “-”, “_” and “.”, at most 63 bytes, not beginning with “-” or “.”"
}

/// A mapping with known keys.
package struct Fields {
    package var mark: YAMLMark
    package var values: [String: YAMLNode] = [:]
    /// Where the keys are.
    package var marks: [String: YAMLMark] = [:]
    /// Keys that unknown ones were probably meant to be.
    package var misspelt: Set<String> = []

    init(mark: YAMLMark) {
        self.mark = mark
    }

    package subscript(_ key: String) -> YAMLNode? { values[key] }
}
