use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::*;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(10);

/// A proxy in front of something that sends back what it gets, and a connection through it.
async fn echo() -> (Proxy, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = Proxy::start(Some(listener.local_addr().unwrap()))
        .await
        .unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
    (proxy, stream)
}

async fn say(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    timeout(LONG, stream.read_exact(&mut back))
        .await
        .expect("an answer")?;
    Ok(back)
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SHORT, stream.read(&mut [0; 64])).await.is_err()
}

async fn is_cut(stream: &mut TcpStream) -> bool {
    let read = timeout(LONG, stream.read(&mut [0; 64])).await;
    matches!(read, Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset)
}

fn up(treatment: Treatment) -> Rules {
    Rules {
        up: treatment,
        ..Rules::default()
    }
}

#[tokio::test]
async fn what_is_delayed_arrives_whole_in_order_and_late() {
    let (proxy, mut stream) = echo().await;
    proxy.set(Rules::both(Treatment {
        delay: Duration::from_millis(80),
        jitter: Duration::from_millis(40),
        ..Treatment::default()
    }));
    let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let began = Instant::now();
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; sent.len()];
    let (written, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut back));
    written.unwrap();
    read.unwrap();
    assert_eq!(back, sent);
    assert!(began.elapsed() >= Duration::from_millis(160));
    assert!(proxy.counted().delayed >= 2 * sent.len() as u64);
}

#[tokio::test]
async fn a_reset_is_an_rst_and_a_refusing_proxy_cuts_new_connections() {
    let (proxy, mut stream) = echo().await;
    proxy.reset();
    assert!(is_cut(&mut stream).await);
    assert_eq!(proxy.counted().reset, 1);
    proxy.set(Rules {
        refuse: true,
        ..Rules::default()
    });
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(is_cut(&mut stream).await);
    assert_eq!(proxy.counted().refused, 1);
    proxy.mend();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut stream, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn what_falls_into_a_black_hole_never_arrives_and_the_connection_is_cut_afterwards() {
    let (proxy, mut stream) = echo().await;
    proxy.set(up(Treatment {
        flow: Flow::Drop,
        ..Treatment::default()
    }));
    stream.write_all(b"lost").await.unwrap();
    assert!(is_silent(&mut stream).await);
    assert_eq!(proxy.counted().dropped, 4);
    proxy.mend();
    assert!(is_cut(&mut stream).await);
}

#[tokio::test]
async fn what_is_stalled_arrives_when_that_is_over() {
    let (proxy, mut stream) = echo().await;
    proxy.set(up(Treatment {
        flow: Flow::Stall,
        ..Treatment::default()
    }));
    // A stall begins with the next byte: the one that is waited for already passes.
    stream.write_all(b"kept").await.unwrap();
    assert!(is_silent(&mut stream).await);
    assert!(proxy.counted().stalled >= 1);
    proxy.mend();
    let mut back = [0; 4];
    timeout(LONG, stream.read_exact(&mut back))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&back, b"kept");
}

#[tokio::test]
async fn a_half_open_connection_takes_bytes_and_says_nothing() {
    let (proxy, mut stream) = echo().await;
    proxy.half_open();
    while proxy.counted().half_opened == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(b"anybody?").await.unwrap();
    assert!(is_silent(&mut stream).await);
    assert_eq!(proxy.counted().dropped, 8);
    proxy.reset();
    assert!(is_cut(&mut stream).await);
}

#[tokio::test]
async fn a_throttled_direction_is_slow() {
    let (proxy, mut stream) = echo().await;
    proxy.set(up(Treatment {
        bytes_per_second: 10_000,
        ..Treatment::default()
    }));
    let began = Instant::now();
    assert_eq!(say(&mut stream, &[7; 5_000]).await.unwrap(), [7; 5_000]);
    assert!(began.elapsed() >= Duration::from_millis(350));
    assert!(proxy.counted().throttled >= 4_000);
}

#[tokio::test]
async fn a_connection_is_cut_behind_exactly_the_byte_that_was_named() {
    let (proxy, mut stream) = echo().await;
    let before = proxy.counted().passed;
    proxy.cut_after(10);
    stream.write_all(&[7; 100]).await.unwrap();
    assert!(is_cut(&mut stream).await);
    assert_eq!(proxy.counted().passed - before, 10);
    assert_eq!(proxy.counted().cut, 1);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut stream, &[7; 100]).await.unwrap(), [7; 100]);
}

#[tokio::test]
async fn a_corrupting_proxy_turns_over_one_bit_in_so_many_bytes() {
    let (proxy, mut stream) = echo().await;
    proxy.set(up(Treatment {
        corrupt_one_in: 1_000,
        ..Treatment::default()
    }));
    let back = say(&mut stream, &[0; 10_000]).await.unwrap();
    let turned: u32 = back.iter().map(|byte| byte.count_ones()).sum();
    assert!((1..=10).contains(&turned), "{turned} bits");
    assert_eq!(proxy.counted().corrupted, 10);
}
