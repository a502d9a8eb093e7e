/// Reads the policy file. Checks between parts of it come last: ``PolicyChecks``.
struct PolicyReader: DocumentReader {
    var errors: [DocumentError] = []
    var nearest = NearestWord()

    static let unbuiltKeys = ["unix"]
}
