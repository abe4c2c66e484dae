"""A fake Earthdata: the login host, data gateways, the object host, and CMR, over TLS on loopback, for tests and benchmarks.

    python -m earthdata [OPTIONS]          from tests/, with the packages of tests/requirements.txt

prints one line of JSON when it is ready (ports, addresses, the certificate authority's file, a user and password) and ends with
its standard input. In tests it is a fixture:

    def test_x(earthdata):                                 # tests/conftest.py; as new for every test
        done = subprocess.run([UPWELL, ...], env={**os.environ, **earthdata.environment()})
        earthdata.fault("429", host="cmr", times=2, retry_after=1)
        assert not earthdata.strayed()                     # no credential reached a host that it is not for

How a client gets here. A client in C++ takes hosts from its environment or options, host[:port] as obstore's EARTHDATA_HOST:

    EARTHDATA_HOST, CMR_HOST                 urs.earthdata.localhost:40001 and cmr.earthdata.localhost:40002
    SSL_CERT_FILE, CURL_CA_BUNDLE            the authority; libcurl reads neither by itself, CURLOPT_CAINFO has to be set
    EARTHDATA_USERNAME, EARTHDATA_PASSWORD   or EARTHDATA_TOKEN; NETRC names a file that is not there

libcurl resolves *.localhost to loopback by itself, and all other hosts come from answers: the granules' addresses, the
redirects, the signed URLs. Hosts differ in name, not only in port, because cookies and credentials are bound to names. A client
that insists on NASA's names is led here by its resolver, and finds NASA's names in every answer: earthdata.peer does so for a
Python process, `curl --connect-to` with each of `connect_to` for curl, and for benchmarks behind bench/wan.cpp
`python -m earthdata --bind 10.91.0.2 --port 443` inside of the server's namespace, with the names in /etc/netns/CLIENT/hosts.

What is there. MUR (8000 days), ECCO SSH (9497 days), the GRACE mascons (one file that gets a new name each month) and ATL03
(strips that cross 180), as small real netCDF-4 and HDF5 files; earthdata.granules says which values they hold. --full DIR serves
files of real size in their places. /BUCKET/KEY.dmrpp beside each granule is its DMR++. CMR's recorded answers are replayed when
UPWELL_SHARED names the shared data. Users: fake, and other (password other).

What goes wrong on request: see faults.py. What is known of every request: see front.py, `begin`. Both, and changes to users,
lives of tokens and signatures, granules and objects: see control.py.

What it does not do: CMR's services, variables, facets, shapefiles, and other formats than UMM-JSON (only as recorded); some
filters (501 says which); spherical geometry (see shapes.py); S3 listings.
"""
