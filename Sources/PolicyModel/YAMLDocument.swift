import CLibYAML

/// A YAML text as a tree of nodes, read with libyaml (`yaml_parser_parse`). The one file that calls it.
///
/// Of YAML it takes what these files need: one document of mappings, lists and scalars. Anchors, aliases and tags are
/// reported, so that nobody has to wonder what a reader made of them, and no text expands to more than it is.
package struct YAMLDocument {
    /// The document; nil if there is none or it could not be read to its end.
    package private(set) var root: YAMLNode?
    /// What is wrong with the text as YAML.
    package private(set) var errors: [DocumentError] = []

    /// More than a policy of a million single addresses needs.
    static let maximumBytes = 64 << 20
    /// A policy needs eight.
    static let maximumDepth = 16

    /// What kind of file it is, for messages.
    private let kind: String

    /// Reads a document from UTF-8.
    /// - Parameter kind: such as “policy file”.
    package init(_ bytes: [UInt8], kind: String) {
        self.kind = kind
        guard bytes.count <= Self.maximumBytes else {
            let message = "the file is longer than \(Self.maximumBytes >> 20) MiB"
            errors.append(DocumentError(at: YAMLMark(line: 1, column: 1), message))
            return
        }
        unsafe bytes.withUnsafeBufferPointer { text in
            // libyaml takes a byte order mark for content once it was told the encoding.
            let hasMark = unsafe text.starts(with: [0xef, 0xbb, 0xbf])
            let events = unsafe YAMLEvents(of: UnsafeBufferPointer(rebasing: text.dropFirst(hasMark ? 3 : 0)))
            do throws(DocumentError) {
                try read(events)
            } catch {
                root = nil
                errors.append(error)
            }
        }
    }

    private mutating func read(_ events: borrowing YAMLEvents) throws(DocumentError) {
        var documents = 0
        while true {
            let event = try events.next()
            switch event.kind {
            case .streamEnd:
                return
            case .documentStart:
                documents += 1
                guard documents == 1 else {
                    throw DocumentError(at: event.mark, "a \(kind) is one YAML document; found another one")
                }
                root = try node(from: events.next(), events, depth: 1)
            case .documentEnd:
                continue
            default:
                throw DocumentError(at: event.mark, "expected a YAML document")
            }
        }
    }

    private mutating func node(
        from event: YAMLEvent, _ events: borrowing YAMLEvents, depth: Int
    ) throws(DocumentError) -> YAMLNode {
        guard depth <= Self.maximumDepth else {
            throw DocumentError(at: event.mark, "nested deeper than \(Self.maximumDepth) levels")
        }
        let refused = event.isDecorated
        if refused {
            let message = "anchors, aliases and tags (“&”, “*”, “!”) are not used in a \(kind): write the value out"
            errors.append(DocumentError(at: event.mark, message))
        }
        var content = YAMLNode.Content.refused
        switch event.kind {
        case .scalar(let text, let plain):
            content = .scalar(text, plain: plain)
        case .sequenceStart:
            var items: [YAMLNode] = []
            var next = try events.next()
            while next.kind != .sequenceEnd {
                items.append(try node(from: next, events, depth: depth + 1))
                next = try events.next()
            }
            content = .sequence(items)
        case .mappingStart:
            var entries: [YAMLEntry] = []
            var next = try events.next()
            while next.kind != .mappingEnd {
                let key = try node(from: next, events, depth: depth + 1)
                let value = try node(from: events.next(), events, depth: depth + 1)
                entries.append(YAMLEntry(key: key, value: value))
                next = try events.next()
            }
            content = .mapping(entries)
        default:
            break
        }
        return YAMLNode(content: refused ? .refused : content, mark: event.mark)
    }
}

/// What libyaml's parser found next.
private struct YAMLEvent {
    enum Kind: Equatable {
        case streamEnd
        case documentStart
        case documentEnd
        case alias
        case scalar(String, plain: Bool)
        case sequenceStart
        case sequenceEnd
        case mappingStart
        case mappingEnd
    }
    var kind: Kind
    var mark: YAMLMark
    /// It has an anchor or a tag, or is an alias.
    var isDecorated = false
}

/// libyaml's parser over a text that outlives it.
@safe
private struct YAMLEvents: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeBufferPointer<UInt8>
    private let isReady: Bool

    init(of text: UnsafeBufferPointer<UInt8>) {
        unsafe self.text = text
        unsafe parser = .allocate(capacity: 1)
        unsafe parser.initialize(to: yaml_parser_t())
        isReady = unsafe yaml_parser_initialize(parser) == 1
        if isReady {
            // Said, not guessed: a byte order mark does not turn the text into UTF-16.
            unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
            unsafe yaml_parser_set_input_string(parser, text.baseAddress, text.count)
        }
    }

    deinit {
        if isReady {
            unsafe yaml_parser_delete(parser)
        }
        unsafe parser.deinitialize(count: 1)
        unsafe parser.deallocate()
    }

    /// The next event that says something about the document.
    borrowing func next() throws(DocumentError) -> YAMLEvent {
        guard isReady else {
            throw DocumentError(at: YAMLMark(line: 1, column: 1), "no memory to read the file")
        }
        while true {
            var event = unsafe yaml_event_t()
            guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw error() }
            defer { unsafe yaml_event_delete(&event) }
            if let event = unsafe Self.event(event) { return event }
        }
    }

    private static func event(_ event: yaml_event_t) -> YAMLEvent? {
        let mark = unsafe YAMLMark(event.start_mark)
        switch unsafe event.type {
        case YAML_STREAM_START_EVENT:
            return nil
        case YAML_DOCUMENT_START_EVENT:
            return YAMLEvent(kind: .documentStart, mark: mark)
        case YAML_DOCUMENT_END_EVENT:
            return YAMLEvent(kind: .documentEnd, mark: mark)
        case YAML_ALIAS_EVENT:
            return YAMLEvent(kind: .alias, mark: mark, isDecorated: true)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let text = unsafe String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return unsafe YAMLEvent(
                kind: .scalar(text, plain: scalar.style == YAML_PLAIN_SCALAR_STYLE), mark: mark,
                isDecorated: scalar.anchor != nil || scalar.tag != nil)
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            return unsafe YAMLEvent(
                kind: .sequenceStart, mark: mark, isDecorated: start.anchor != nil || start.tag != nil)
        case YAML_SEQUENCE_END_EVENT:
            return YAMLEvent(kind: .sequenceEnd, mark: mark)
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            return unsafe YAMLEvent(
                kind: .mappingStart, mark: mark, isDecorated: start.anchor != nil || start.tag != nil)
        case YAML_MAPPING_END_EVENT:
            return YAMLEvent(kind: .mappingEnd, mark: mark)
        default:
            // The end of the stream; also what an ended parser gives, so that no reader waits for more.
            return YAMLEvent(kind: .streamEnd, mark: mark)
        }
    }

    /// What stopped the parser.
    private borrowing func error() -> DocumentError {
        let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "no memory to read the file"
        guard unsafe parser.pointee.error != YAML_READER_ERROR else {
            // The reader is ahead of the parser's mark, and names the byte.
            let offset = unsafe min(parser.pointee.problem_offset, text.count)
            return DocumentError(at: mark(ofByte: offset), "not YAML in UTF-8: \(problem)")
        }
        let mark = unsafe YAMLMark(parser.pointee.problem_mark)
        var message = "not YAML: \(problem)"
        if let context = unsafe parser.pointee.context {
            let start = unsafe YAMLMark(parser.pointee.context_mark)
            message += unsafe ", \(String(cString: context)) at line \(start.line), column \(start.column)"
        }
        if byte(at: mark) == UInt8(ascii: "\t") {
            message += "; YAML is indented with spaces, not with tabs"
        }
        return DocumentError(at: mark, message)
    }

    private borrowing func mark(ofByte offset: Int) -> YAMLMark {
        let before = unsafe text[..<offset]
        let start = unsafe before.lastIndex(of: 10).map { $0 + 1 } ?? 0
        let line = unsafe before.reduce(1) { $1 == 10 ? $0 + 1 : $0 }
        return unsafe YAMLMark(line: line, column: String(decoding: before[start...], as: UTF8.self).count + 1)
    }

    /// The byte at a mark of a line that is ASCII so far; nil behind the end.
    private borrowing func byte(at mark: YAMLMark) -> UInt8? {
        var line = 1
        var start = 0
        while line < mark.line {
            guard let end = unsafe text[start...].firstIndex(of: 10) else { return nil }
            start = end + 1
            line += 1
        }
        let index = start + mark.column - 1
        return unsafe index < text.count ? text[index] : nil
    }
}

extension YAMLMark {
    /// libyaml counts from zero.
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: mark.line + 1, column: mark.column + 1)
    }
}
