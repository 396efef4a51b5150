import KeyManagement
import Log
import MetadataStore
public import Syscalls

/// What a check of a volume found.
public struct CheckReport: Sendable, Equatable {
    /// One line each; at most a thousand are kept, all are counted.
    public var problems: [String] = []
    public var problemCount = 0
    public var inodes = 0
    public var tables = 0
    public var segments = 0
    /// Bytes of segments and tables that were looked at.
    public var bytes: UInt64 = 0

    public var isClean: Bool { problemCount == 0 }

    mutating func add(_ problem: String) {
        problemCount += 1
        if problems.count < 1000 { problems.append(problem) }
    }
}

extension Volume {
    /// Verifies that the volume is whole and holds together: every metadata record against the others, the account of live bytes against the
    /// extents, tables and segments. `deep` authenticates every block of data too. Writes nothing. The file system must not change meanwhile:
    /// open the volume for reading only.
    /// - Parameter progress: told a part from 0 to 1.
    public func check(deep: Bool, progress: (Double) -> Void = { _ in }) throws(Failure) -> CheckReport {
        var report = CheckReport()
        let tables = log.verifyTables(deep: deep) { report.add("\($0)") }
        report.tables = tables.tables
        report.bytes += tables.bytes
        progress(0.1)
        let segments = log.verifySegments(deep: deep, progress: { progress(0.1 + 0.8 * Double($0) / Double(max($1, 1))) }) {
            report.add("\($0)")
        }
        report.segments = segments.segments
        report.bytes += segments.bytes
        // Records can only be held against each other when they can be read.
        guard tables.damaged == 0 else { return report }
        var records = ConsistencyCheck(of: fileSystem.metadata, nameHash: fileSystem.environment.nameHash)
        do throws(Failure) {
            try records.run(expectedLiveBytes: log.liveBytesBySegment)
        } catch  where error.kind == .damaged {
            report.add("\(error)")
        }
        report.inodes = records.inodeCount
        for finding in records.findings { report.add(finding.description) }
        report.problemCount += records.findingCount - records.findings.count
        progress(1)
        return report
    }
}
