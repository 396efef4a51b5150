/// `efs --log-level DEBUG --cipher X mount …`: options that stand before the subcommand, as rencfs's users write them.
enum GlobalOptions {
    private static let names = ["-l", "--log-level", "-c", "--cipher"]

    /// The arguments with such options moved behind the subcommand, where they are declared.
    static func movedBehindSubcommand(_ arguments: [String]) -> [String] {
        var moved: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if names.contains(first), rest.count >= 2 {
                moved += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if names.contains(where: { $0.hasPrefix("--") && first.hasPrefix($0 + "=") }) {
                moved.append(first)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        guard !moved.isEmpty, let subcommand = rest.first else { return arguments }
        return [subcommand] + moved + rest.dropFirst()
    }
}
