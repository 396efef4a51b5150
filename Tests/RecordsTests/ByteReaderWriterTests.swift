import Records
import Testing

@Suite struct ByteReaderWriterTests {
    private static let numbers: [UInt64] =
        [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, .max, .max - 1] + (0..<64).flatMap { [1 << $0, (1 << $0) - 1] as [UInt64] }

    private func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacityBytes: 1)
        write(&writer)
        return Array(writer.readable)
    }

    @Test func numbersAreLittleEndian() {
        #expect(bytes { $0.append(UInt8(1)) } == [1])
        #expect(bytes { $0.append(UInt16(0x0102)) } == [2, 1])
        #expect(bytes { $0.append(UInt32(0x0102_0304)) } == [4, 3, 2, 1])
        #expect(bytes { $0.append(UInt64(0x0102_0304_0506_0708)) } == [8, 7, 6, 5, 4, 3, 2, 1])
    }

    @Test func whatIsWrittenIsReadAndNothingBehindIt() {
        for number in Self.numbers {
            let written = bytes { writer in
                writer.append(UInt8(truncatingIfNeeded: number))
                writer.append(UInt16(truncatingIfNeeded: number))
                writer.append(UInt32(truncatingIfNeeded: number))
                writer.append(number)
                writer.appendVarint(number)
                writer.appendSignedVarint(Int64(bitPattern: number))
                writer.append([7, 8])
            }
            // Cut anywhere, what is whole is read, and what is not gives nil and moves nothing.
            for length in 0...written.count {
                Array(written[..<length]).withUnsafeBytes { cut in
                    var reader = ByteReader(cut)
                    let whole = length == written.count
                    let first = reader.readUInt8()
                    #expect(first == (length >= 1 ? UInt8(truncatingIfNeeded: number) : nil))
                    let fixed = (reader.readUInt16(), reader.readUInt32(), reader.readUInt64())
                    if length >= 15 {
                        #expect(fixed.0 == UInt16(truncatingIfNeeded: number) && fixed.1 == UInt32(truncatingIfNeeded: number))
                        #expect(fixed.2 == number)
                    }
                    if whole {
                        #expect(reader.readVarint() == number)
                        #expect(reader.readSignedVarint() == Int64(bitPattern: number))
                        #expect(reader.remaining == 2 && !reader.isAtEnd)
                        #expect(reader.readBytes(3) == nil && reader.readBytes(-1) == nil)
                        #expect(reader.readBytes(2).map { Array($0) } == [7, 8])
                        #expect(reader.isAtEnd && reader.readUInt8() == nil && reader.readVarint() == nil)
                    }
                }
            }
        }
    }

    @Test func varintsHaveTheirLengths() {
        #expect(bytes { $0.appendVarint(0) } == [0])
        #expect(bytes { $0.appendVarint(300) } == [0xAC, 2])
        #expect(bytes { $0.appendVarint(.max) } == [UInt8](repeating: 0xFF, count: 9) + [1])
        #expect(bytes { $0.appendSignedVarint(-1) } == [1] && bytes { $0.appendSignedVarint(1) } == [2])
        for number in Self.numbers {
            let bits = 64 - number.leadingZeroBitCount
            #expect(bytes { $0.appendVarint(number) }.count == max(1, (bits + 6) / 7))
        }
    }

    @Test func varintsThatAreCutOrTooLargeGiveNil() {
        let wrong: [[UInt8]] = [
            [], [0x80], [UInt8](repeating: 0x80, count: 9), [UInt8](repeating: 0xFF, count: 9) + [2],
            [UInt8](repeating: 0x80, count: 10) + [0], [UInt8](repeating: 0xFF, count: 20),
        ]
        for bytes in wrong {
            bytes.withUnsafeBytes {
                var reader = ByteReader($0)
                #expect(reader.readVarint() == nil, "\(bytes)")
            }
        }
    }

    @Test func aWriterGrowsKeepsAndOverwrites() {
        var writer = ByteWriter(capacityBytes: 16)
        for number in 0..<1000 as Range<UInt32> { writer.append(number) }
        #expect(writer.count == 4000 && writer.capacityBytes >= 4000)
        writer.overwrite(77, at: 40)
        var reader = ByteReader(writer.readable)
        for number in 0..<1000 as Range<UInt32> { #expect(reader.readUInt32() == (number == 10 ? 77 : number)) }
        let capacity = writer.capacityBytes
        writer.reset()
        #expect(writer.count == 0 && writer.capacityBytes == capacity && writer.readable.isEmpty)
    }
}
